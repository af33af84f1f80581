#pragma once

// The payloads of the built-in job types. parse() takes a JSON object and names the field that is wrong; further fields are
// ignored.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/ids.h"
#include "hearth/base/result.h"
#include "hearth/notifications/notification_store.h"

namespace hearth::app {

struct ProcessImage {
  PostId post;
  std::string image_url;
  static Result<ProcessImage> parse(std::string_view payload);
};

struct GenerateThumbnail {
  std::string image_url;
  std::vector<int> sizes;  // longest sides, in pixels
  static Result<GenerateThumbnail> parse(std::string_view payload);
};

struct SendNotification {
  notifications::NotificationDraft draft;
  static Result<SendNotification> parse(std::string_view payload);
};

struct SyncLikeCount {
  PostId post;
  static Result<SyncLikeCount> parse(std::string_view payload);
};

struct CleanupExpired {
  int older_than_days = 30;
  static Result<CleanupExpired> parse(std::string_view payload);
};

struct RecomputeRankings {
  std::size_t limit = 0;
  static Result<RecomputeRankings> parse(std::string_view payload);
};

struct SyncViews {
  static Result<SyncViews> parse(std::string_view payload);
};

}  // namespace hearth::app
