#include "hearth/app/handlers/payloads.h"

#include <utility>

#include "hearth/base/json_reader.h"
#include "hearth/content/content_jobs.h"
#include "hearth/drivers/web/web_client.h"
#include "hearth/media/image.h"

namespace hearth::app {
namespace {

constexpr int kDaysMax = 3'650;

Result<void> read(std::string_view payload, OnField on_field) {
  std::string text(payload);
  return read_json_object(text, UnknownFields::kIgnore, on_field);
}

Result<bool> take(JsonValue& value, std::string_view field, std::optional<std::string>& target) {
  auto text = value.string(field);
  if (!text) return std::unexpected(text.error());
  target = std::string(*text);
  return true;
}

Result<bool> take(JsonValue& value, std::string_view field, std::int64_t least, std::int64_t most, std::int64_t& target) {
  auto number = value.integer(field);
  if (!number) return std::unexpected(number.error());
  if (*number < least || *number > most) {
    return invalid(std::string(field), std::string(field) + " must be " + std::to_string(least) + " to " + std::to_string(most));
  }
  target = *number;
  return true;
}

// An id may also come as a number, as SQL programs write it.
Result<bool> take_id(JsonValue& value, std::string_view field, std::optional<std::string>& target) {
  if (value.is_string()) return take(value, field, target);
  auto number = value.integer(field);
  if (!number) return std::unexpected(number.error());
  target = std::to_string(*number);
  return true;
}

std::unexpected<Error> missing(const std::string& field) {
  return invalid(field, field + " is required");
}

Result<std::string> checked_url(std::optional<std::string> url, const std::string& field) {
  if (!url) return missing(field);
  if (auto ok = web::check_url(*url, field); !ok) return std::unexpected(ok.error());
  return *std::move(url);
}

Result<PostId> checked_post(const std::optional<std::string>& post) {
  if (!post) return missing("postId");
  return PostId::parse(*post, "postId");
}

Result<bool> take_sizes(JsonValue& value, std::string_view field, std::vector<int>& sizes) {
  auto taken = value.array(field, media::kThumbnailSidesMax, [&](std::size_t, JsonValue& item) -> Result<void> {
    std::int64_t size = 0;
    auto number = take(item, field, 1, media::kThumbnailSideMax, size);
    if (!number) return std::unexpected(number.error());
    sizes.push_back(static_cast<int>(size));
    return {};
  });
  if (!taken) return std::unexpected(taken.error());
  return true;
}

}  // namespace

Result<ProcessImage> ProcessImage::parse(std::string_view payload) {
  std::optional<std::string> post;
  std::optional<std::string> url;
  auto done = read(payload, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "postId") return take_id(value, key, post);
    if (key == "imageUrl") return take(value, key, url);
    return false;
  });
  if (!done) return std::unexpected(done.error());
  auto id = checked_post(post);
  if (!id) return std::unexpected(id.error());
  auto image = checked_url(std::move(url), "imageUrl");
  if (!image) return std::unexpected(image.error());
  return ProcessImage{*std::move(id), *std::move(image)};
}

Result<GenerateThumbnail> GenerateThumbnail::parse(std::string_view payload) {
  std::optional<std::string> url;
  std::vector<int> sizes;
  auto done = read(payload, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "imageUrl") return take(value, key, url);
    if (key == "sizes") return take_sizes(value, key, sizes);
    return false;
  });
  if (!done) return std::unexpected(done.error());
  auto image = checked_url(std::move(url), "imageUrl");
  if (!image) return std::unexpected(image.error());
  if (sizes.empty()) return invalid("sizes", "sizes is required: longest sides in pixels, as [200, 400]");
  return GenerateThumbnail{*std::move(image), std::move(sizes)};
}

Result<SendNotification> SendNotification::parse(std::string_view payload) {
  std::optional<std::string> user, type, title, body, data;
  auto done = read(payload, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "userId") return take_id(value, key, user);
    if (key == "type") return take(value, key, type);
    if (key == "title") return take(value, key, title);
    if (key == "body" && !value.is_null()) return take(value, key, body);
    if (key != "data" || value.is_null()) return false;
    auto json = value.raw(key);
    if (!json) return std::unexpected(json.error());
    data = std::string(*json);
    return true;
  });
  if (!done) return std::unexpected(done.error());
  if (!user) return missing("userId");
  auto id = UserId::parse(*user, "userId");
  if (!id) return std::unexpected(id.error());
  if (!title) return missing("title");
  notifications::NotificationDraft draft{
      .user = *std::move(id), .title = *std::move(title), .body = std::move(body), .data = std::move(data)};
  if (type) draft.type = *std::move(type);
  if (auto ok = notifications::check(draft); !ok) return std::unexpected(ok.error());
  return SendNotification{std::move(draft)};
}

Result<SyncLikeCount> SyncLikeCount::parse(std::string_view payload) {
  std::optional<std::string> post;
  auto done = read(payload, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "postId") return take_id(value, key, post);
    return false;
  });
  if (!done) return std::unexpected(done.error());
  auto id = checked_post(post);
  if (!id) return std::unexpected(id.error());
  return SyncLikeCount{*std::move(id)};
}

Result<CleanupExpired> CleanupExpired::parse(std::string_view payload) {
  std::int64_t days = CleanupExpired{}.older_than_days;
  auto done = read(payload, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "olderThanDays") return take(value, key, 0, kDaysMax, days);
    return false;
  });
  if (!done) return std::unexpected(done.error());
  return CleanupExpired{static_cast<int>(days)};
}

Result<RecomputeRankings> RecomputeRankings::parse(std::string_view payload) {
  std::int64_t limit = content::kHotPostsDefault;
  auto done = read(payload, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "limit") return take(value, key, 1, content::kHotPostsMax, limit);
    return false;
  });
  if (!done) return std::unexpected(done.error());
  return RecomputeRankings{static_cast<std::size_t>(limit)};
}

Result<SyncViews> SyncViews::parse(std::string_view payload) {
  auto done = read(payload, [](std::string_view, JsonValue&) -> Result<bool> { return false; });
  if (!done) return std::unexpected(done.error());
  return SyncViews{};
}

}  // namespace hearth::app
