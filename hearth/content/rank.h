#pragma once

// The rank: posts by likes, most first, ties by newest and then by id.
//
// Counts are live, and posts.likes in SQL lags a little behind. So a page is made in three steps: candidates() collects
// every post that can be on it, the caller reads their live counts, and ranked() puts them in order by those. The page
// then shows the very counts that it is ordered by.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/content/content.h"

namespace hearth::content {

inline constexpr std::size_t kRankPostsDefault = 50;
inline constexpr std::size_t kRankPostsMax = 100;

inline constexpr std::size_t kRankWalkMax = 10'000;        // rows looked at in the order of projected likes
inline constexpr std::size_t kRankDirtyFirst = 1'000;      // dirty posts asked for at once at first
inline constexpr std::size_t kRankDirtyMax = 64'000;       // and at most
inline constexpr std::size_t kRankUnprojectedMax = 1'000;  // newest posts whose likes were never projected
inline constexpr std::size_t kRankHotNewestMax = 1'000;    // newest posts that can be hot without being among the most liked
inline constexpr std::size_t kRankReadsMax = 3;            // tries to read while the projection does not move

enum class RankOrder : std::uint8_t {
  kLikes,  // by likes
  kHot,    // by likes / (age in hours + 2)^1.5: a post loses half its score in its first 70 minutes, a tenth is left at 7.3 h
};

// What live state knows that posts.likes does not know yet. Both may be called on any thread.
struct LiveCounts {
  // Whether the post's likes changed in a way that the projection (LikeProjection) may not have applied. It is true at
  // least from before the change can be seen until the projection's cursor has passed the change's event.
  std::function<bool(std::string_view post)> is_dirty;
  // Dirty posts with at least `likes` likes now, most first, at most `limit`.
  std::function<std::vector<std::string>(std::uint32_t likes, std::size_t limit)> dirty_above;
};

// The indexes of `posts`, at most `limit`, in the rank's order. likes[i] belongs to posts[i].
// REQUIRES: posts.size() == likes.size().
std::vector<std::size_t> ranked(RankOrder order, std::span<const Post> posts, std::span<const std::uint32_t> likes, UtcMicros now,
                                std::size_t limit);

}  // namespace hearth::content
