#pragma once

// Stories and their chapters, as far as an app keeps them here, and their limits.
//
// A read_count here is SQL's, as of the last sync: the live total belongs to views, and the API merges it in at every read.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/ids.h"
#include "hearth/base/result.h"
#include "hearth/content/content.h"

namespace hearth::content {

inline constexpr std::size_t kTitleBytesMax = 500;
inline constexpr std::size_t kSummaryBytesMax = 5'000;
inline constexpr std::size_t kChapterContentBytesMax = 500'000;
inline constexpr std::int64_t kPositionMax = 1'000'000'000;
inline constexpr std::uint64_t kReadCountMax = 1'000'000'000'000'000;  // exact in JSON's numbers
inline constexpr std::size_t kStoriesMax = 50;                         // of one page; the default too

using StoryId = Id<struct StoryTag>;
using ChapterId = Id<struct ChapterTag>;

struct Story {
  StoryId id;
  std::optional<UserId> author = {};
  std::optional<std::string> title = {};
  std::optional<std::string> summary = {};
  std::optional<std::string> cover_image_url = {};
  std::uint64_t read_count = 0;
  UtcMicros created_at{};
  UtcMicros updated_at{};

  friend bool operator==(const Story&, const Story&) = default;
};

struct Chapter {
  ChapterId id;
  StoryId story;
  std::optional<std::string> title = {};
  std::optional<std::string> content = {};
  std::optional<std::int64_t> position = {};
  std::uint64_t read_count = 0;
  UtcMicros created_at{};
  UtcMicros updated_at{};

  friend bool operator==(const Chapter&, const Chapter&) = default;
};

// What a story is to become; neither it nor its author need be known here before. `read_count` and `created_at` are for
// imports: what SQL has becomes the larger of both counts, and without `created_at` a story that exists keeps its own.
struct StoryDraft {
  StoryId id;
  std::optional<UserId> author = {};
  std::optional<std::string> title = {};
  std::optional<std::string> summary = {};
  std::optional<std::string> cover_image_url = {};
  std::optional<std::uint64_t> read_count = {};
  std::optional<UtcMicros> created_at = {};
};

// The same of a chapter; its story need not be known here.
struct ChapterDraft {
  ChapterId id;
  StoryId story;
  std::optional<std::string> title = {};
  std::optional<std::string> content = {};
  std::optional<std::int64_t> position = {};  // 0 to kPositionMax
  std::optional<std::uint64_t> read_count = {};
  std::optional<UtcMicros> created_at = {};
};

// Whether a draft keeps to the limits, as check() of content.h.
Result<void> check(const StoryDraft& draft);
Result<void> check(const ChapterDraft& draft);

struct StoryPage {
  std::vector<Story> stories;
  std::optional<PostCursor> next;  // absent on the last page
};

}  // namespace hearth::content
