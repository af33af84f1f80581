#pragma once

// The nouns of content, users and posts, and their limits.
//
// A post here has no likes: the live count belongs to likes, and the API merges it in at every read.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/ids.h"
#include "hearth/base/result.h"

namespace hearth::content {

inline constexpr std::size_t kDisplayNameBytesMax = 256;
inline constexpr std::size_t kBioBytesMax = 2'000;
inline constexpr std::size_t kPostContentBytesMax = 10'000;
inline constexpr std::size_t kUrlBytesMax = 2'048;
inline constexpr std::size_t kMediaUrlsMax = 10;

inline constexpr std::size_t kTimelinePostsMax = 50;  // of one page; the default too
inline constexpr std::size_t kUserPostsMax = 20;      // of one page; the default too
inline constexpr std::size_t kPostsPerReadMax = 1'000;
inline constexpr std::size_t kDraftsPerWriteMax = 1'000;

struct User {
  UserId id;
  std::string username;
  std::optional<std::string> display_name = {};
  std::optional<std::string> bio = {};
  std::optional<std::string> profile_image_url = {};
  UtcMicros created_at{};

  friend bool operator==(const User&, const User&) = default;
};

struct Post {
  PostId id;
  UserId author;
  std::string author_username;
  std::optional<std::string> content = {};
  std::optional<std::string> image_url = {};
  std::vector<std::string> media_urls = {};
  UtcMicros created_at{};
  std::int64_t comments_count = 0;

  friend bool operator==(const Post&, const Post&) = default;
};

// What a user is to become. Without `created_at` a user that exists keeps its own, and a new one gets the present.
struct UserDraft {
  UserId id;
  std::string username;
  std::optional<std::string> display_name = {};
  std::optional<std::string> bio = {};
  std::optional<std::string> profile_image_url = {};
  std::optional<UtcMicros> created_at = {};
};

// What a post is to be. Without `id` it gets a new one that sorts by time.
struct PostDraft {
  std::optional<PostId> id = {};
  UserId author;
  std::optional<std::string> content = {};
  std::optional<std::string> image_url = {};
  std::vector<std::string> media_urls = {};
  std::optional<UtcMicros> created_at = {};
};

// Whether a draft keeps to the limits; the error names the API's field. Text may hold anything but NUL, which not every
// database can store. URLs are http or https.
Result<void> check(const UserDraft& draft);
Result<void> check(const PostDraft& draft);

// The same request again, within kIdempotencyKept: the first answer is given again.
struct IdempotencyKey {
  std::string scope;    // hash of caller, method, path and key
  std::string request;  // hash of the request's body
};
inline constexpr std::chrono::minutes kIdempotencyKept{10};

// Where a page of posts ended: the next one begins after it. Newest first, ties by id.
struct PostCursor {
  UtcMicros created_at{};
  std::string id;

  friend auto operator<=>(const PostCursor&, const PostCursor&) = default;
};

// Cursors as clients carry them. Parsing fails with kInvalidArgument on field "cursor".
std::string to_text(const PostCursor& cursor);
Result<PostCursor> parse_cursor(std::string_view text);

struct PostPage {
  std::vector<Post> posts;
  std::optional<PostCursor> next;  // absent on the last page
};

}  // namespace hearth::content
