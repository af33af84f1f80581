#include "hearth/content/stores/drafts.h"

#include <openssl/rand.h>

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <utility>
#include <variant>

#include "hearth/base/assert.h"

namespace hearth::content {

PostId new_post_id(UtcMicros now) {
  std::array<std::uint8_t, 8> noise{};
  HEARTH_ASSERT(RAND_bytes(noise.data(), noise.size()) == 1);
  std::uint64_t random = 0;
  for (std::uint8_t byte : noise) random = (random << 8) | byte;
  auto since_epoch = static_cast<std::uint64_t>(now.time_since_epoch().count());
  std::uint64_t milliseconds = since_epoch / 1'000;
  std::uint64_t fraction = since_epoch % 1'000 * 4'096 / 1'000;
  return PostId::trusted(fmt::format("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", (milliseconds >> 16) & 0xffff'ffff, milliseconds & 0xffff,
                                     fraction, 0x8000 | ((random >> 48) & 0x3fff), random & 0xffff'ffff'ffff));
}

User user_from(const UserDraft& draft, const std::optional<User>& before, UtcMicros now) {
  return User{.id = draft.id,
              .username = draft.username,
              .display_name = draft.display_name,
              .bio = draft.bio,
              .profile_image_url = draft.profile_image_url,
              .created_at = draft.created_at.value_or(before ? before->created_at : now)};
}

Post post_from(const PostDraft& draft, PostId id, std::string author_username, const std::optional<Post>& before, UtcMicros now) {
  return Post{.id = std::move(id),
              .author = draft.author,
              .author_username = std::move(author_username),
              .content = draft.content,
              .image_url = draft.image_url,
              .media_urls = draft.media_urls,
              .created_at = draft.created_at.value_or(before ? before->created_at : now),
              .comments_count = before ? before->comments_count : 0};
}

Result<void> check(const Draft& draft) {
  if (auto ok = std::visit([](const auto& each) { return check(each); }, draft); !ok) return ok;
  const auto* post = std::get_if<PostDraft>(&draft);
  if (post && !post->id) return invalid("id", "id is missing");
  return {};
}

std::unexpected<Error> username_taken() {
  return fail(ErrorCode::kConflict, "another user has this username", "username");
}

std::unexpected<Error> post_id_taken() {
  return fail(ErrorCode::kConflict, "there is a post with this id", "id");
}

std::unexpected<Error> author_missing(const UserId& author) {
  return fail(ErrorCode::kNotFound, "there is no user " + author.str(), "authorId");
}

Result<CreatedPost> answer(Result<Post> post, bool replayed) {
  if (!post) return std::unexpected(std::move(post.error()));
  return CreatedPost{std::move(*post), replayed};
}

}  // namespace hearth::content
