#pragma once

// The rank: posts by likes, most first, ties by newest and then by id.
//
// Counts are live, and posts.likes in SQL lags a little behind. So a page is made in three steps: RankCandidates collects
// every post that can be on it, the caller reads their live counts, and ranked() puts them in order by those. The page
// then shows the very counts that it is ordered by.
//
// How the candidates are found: first the dirty posts are asked for, whose likes changed and which SQL does not know yet;
// then a walk goes down posts.likes and collects what it meets, until `limit` posts were met that are not dirty. For those
// the projected count is the live one; let T be the last one's. A clean post further down has at most T, and is older if
// it has T: it is not on the page. A dirty one can be anywhere, so the dirty posts with T or more are added, most liked
// first, until `limit` of them are known here (posts may be liked that are not). Because dirty is asked first, a post
// that is clean is so in the walk's snapshot too; what changes after the question is as if it came after the page.
// Where the answer looks at live state itself, a post may stop being dirty after the snapshot: if SQL learned of changes
// meanwhile, the walk is repeated.
//
// Where it can miss a post that belongs on the page:
//  - SQL learned of changes during each of kRankReadsMax walks;
//  - more than kRankWalkMax posts were walked, because nearly all of the most liked ones are dirty;
//  - more than kRankDirtyMax dirty posts have T or more, hardly any of which is known here; or dirty posts beyond
//    kRankDirtyFirst tie with the page's last.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/task.h"
#include "hearth/content/content.h"

namespace hearth::content {

inline constexpr std::size_t kRankPostsDefault = 50;
inline constexpr std::size_t kRankPostsMax = 100;

inline constexpr std::size_t kRankWalkMax = 10'000;        // rows looked at in the order of projected likes
inline constexpr std::size_t kRankDirtyFirst = 1'000;      // dirty posts asked for at once at first
inline constexpr std::size_t kRankDirtyMax = 64'000;       // and at most
inline constexpr std::size_t kRankUnprojectedMax = 1'000;  // newest posts whose likes were never projected
inline constexpr std::size_t kRankHotNewestMax = 1'000;    // newest posts that can be hot without being among the most liked
inline constexpr std::size_t kRankReadsMax = 3;            // tries to walk while SQL learns of no changes

enum class RankOrder : std::uint8_t {
  kLikes,  // by likes
  kHot,    // by likes / (age in hours + 2)^1.5: a post loses half its score in its first 70 minutes, a tenth is left at 7.3 h
};

// The posts whose likes changed and whose posts.likes may not show it yet. Called on any thread.
class DirtyPosts {
 public:
  virtual ~DirtyPosts() = default;
  virtual bool is_dirty(std::string_view post) const = 0;
  // Those with at least `likes` likes now, most first, at most `limit`.
  virtual std::vector<std::string> above(std::uint32_t likes, std::size_t limit) const = 0;
  // Whether it stays as it was when it was asked for. Otherwise a post stops being dirty when SQL has its change.
  virtual bool is_frozen() const { return false; }
};
// Every post whose change could be seen when it was asked, and was not in SQL at that moment, is dirty in the answer.
// Shared with the database's thread.
using ReadDirty = std::function<Task<Result<std::shared_ptr<const DirtyPosts>>>()>;

class RankCandidates {
 public:
  virtual ~RankCandidates() = default;

  // In no order that matters; ranked() orders them. kHot adds the newest kRankHotNewestMax posts, and those that
  // recompute_rankings found hottest (content_jobs.h). There may be more than
  // kPostsPerReadMax, so their live counts are read in several questions.
  // REQUIRES: 1 <= limit <= kRankPostsMax.
  virtual Task<Result<std::vector<Post>>> collect(RankOrder order, std::size_t limit) = 0;
};

// The score of kHot. A post that is dated ahead of now counts as new.
double hot_score(std::uint32_t likes, UtcMicros created_at, UtcMicros now);

// The indexes of `posts`, at most `limit`, in the rank's order. likes[i] belongs to posts[i].
// REQUIRES: posts.size() == likes.size().
std::vector<std::size_t> ranked(RankOrder order, std::span<const Post> posts, std::span<const std::uint32_t> likes, UtcMicros now,
                                std::size_t limit);

}  // namespace hearth::content
