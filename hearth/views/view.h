#pragma once

// The nouns of views, and their limits.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/ids.h"

namespace hearth::views {

inline constexpr std::size_t kItemsPerReadMax = 1'000;
inline constexpr std::size_t kTrendingMax = 100;
inline constexpr std::chrono::hours kDedupeWindowMax{720};
inline constexpr std::chrono::hours kHoursKept{24 * 14};  // of the hourly numbers in SQL
inline constexpr std::chrono::days kDaysKept{400};        // of the daily ones

using ViewedId = Id<struct ViewedTag>;  // of a story or a chapter

enum class ViewedKind : std::uint8_t { kStory, kChapter };

struct ViewedItem {
  ViewedKind kind = ViewedKind::kStory;
  ViewedId id;

  friend auto operator<=>(const ViewedItem&, const ViewedItem&) = default;
};

// Who looked, as stores know it: 64 bits of a keyed hash (viewer_keys.h). Two viewers of one item look like one with a chance
// of 2^-64 a pair, and nobody without the key can aim at that.
using Viewer = std::uint64_t;

struct View {
  ViewedItem item;
  Viewer viewer = 0;
  // The same viewer under the key before, or the next one where that is near: counted under either, it is counted.
  std::optional<Viewer> previous = {};
  bool counts = true;                // false: the viewer is remembered, nothing is counted
  std::optional<UtcMicros> at = {};  // when it happened, if not now: what came while the live store was away
};

struct ViewOutcome {
  bool is_first = false;    // of this viewer within the window
  std::uint64_t views = 0;  // of the item, with this one
};

// How often an item was viewed: what SQL has and what waits.
struct ViewTotal {
  std::uint64_t views = 0;     // all
  std::uint64_t buffered = 0;  // of them not yet in SQL
  std::optional<UtcMicros> synced_at = {};
};

using UtcHour = std::chrono::sys_time<std::chrono::hours>;

inline UtcHour hour_of(UtcMicros at) {
  return std::chrono::floor<std::chrono::hours>(at);
}

struct HourViews {
  UtcHour hour{};
  std::uint64_t views = 0;
};

struct ItemViews {
  ViewedId id;
  std::uint64_t views = 0;
};

// "story", "chapter": as keys, tables and answers name them.
inline std::string_view name_of(ViewedKind kind) {
  return kind == ViewedKind::kStory ? "story" : "chapter";
}

}  // namespace hearth::views
