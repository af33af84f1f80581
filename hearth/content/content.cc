#include "hearth/content/content.h"

#include <algorithm>
#include <charconv>

#include "hearth/content/field_checks.h"
#include "hearth/content/username.h"

namespace hearth::content {
namespace {

constexpr std::string_view kUsernameRule = "username must be 1 to 64 bytes of letters, digits, '_', '.' and '-'";

bool starts_with_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::ranges::equal(text.substr(0, lower.size()), lower, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

bool is_web_url(std::string_view url) {
  std::size_t scheme = starts_with_ignoring_case(url, "https://") ? 8 : starts_with_ignoring_case(url, "http://") ? 7 : 0;
  if (scheme == 0 || url.size() > kUrlBytesMax) return false;
  auto rest = url.substr(scheme);
  if (rest.empty() || std::string_view("/?#").contains(rest.front())) return false;  // no host
  return std::ranges::none_of(rest,
                              [](unsigned char c) { return c <= 0x20 || c == 0x7f || c == '"' || c == '<' || c == '>' || c == '\\'; });
}

}  // namespace

Result<void> check_text(const std::optional<std::string>& text, std::size_t bytes_max, const char* field) {
  if (!text) return {};
  if (text->size() > bytes_max) return invalid(field, std::string(field) + " must be at most " + std::to_string(bytes_max) + " bytes");
  if (text->contains('\0')) return invalid(field, std::string(field) + " must not contain NUL");
  return {};
}

Result<void> check_url(std::string_view url, const char* field) {
  if (is_web_url(url)) return {};
  return invalid(field, std::string(field) + " must be an http or https URL of at most " + std::to_string(kUrlBytesMax) + " bytes");
}

Result<void> check(const UserDraft& draft) {
  if (!is_valid_username(draft.username)) return invalid("username", std::string(kUsernameRule));
  if (auto ok = check_text(draft.display_name, kDisplayNameBytesMax, "displayName"); !ok) return ok;
  if (auto ok = check_text(draft.bio, kBioBytesMax, "bio"); !ok) return ok;
  if (draft.profile_image_url) return check_url(*draft.profile_image_url, "profileImageUrl");
  return {};
}

Result<void> check(const PostDraft& draft) {
  if (auto ok = check_text(draft.content, kPostContentBytesMax, "content"); !ok) return ok;
  if (draft.image_url) {
    if (auto ok = check_url(*draft.image_url, "imageUrl"); !ok) return ok;
  }
  if (draft.media_urls.size() > kMediaUrlsMax) {
    return invalid("mediaUrls", "mediaUrls must be at most " + std::to_string(kMediaUrlsMax) + " URLs");
  }
  for (const auto& url : draft.media_urls) {
    if (auto ok = check_url(url, "mediaUrls"); !ok) return ok;
  }
  return {};
}

std::string to_text(const PostCursor& cursor) {
  return std::to_string(cursor.created_at.time_since_epoch().count()) + "_" + cursor.id;
}

Result<PostCursor> parse_cursor(std::string_view text) {
  std::int64_t micros = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), micros);
  std::string_view rest(end, text.data() + text.size());
  if (error != std::errc() || !rest.starts_with('_') || !is_valid_id(rest.substr(1))) {
    return invalid("cursor", "cursor must be one that an earlier page gave");
  }
  return PostCursor{UtcMicros(std::chrono::microseconds(micros)), std::string(rest.substr(1))};
}

}  // namespace hearth::content
