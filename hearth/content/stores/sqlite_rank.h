#pragma once

// The candidates of the rank: every post that can be on the page, from content.db and live state together.
//
// The walk goes down posts.likes and collects what it meets, until `limit` posts were met that are not dirty. For those
// the projected count is the live one; let T be the last one's. A clean post further down has at most T, and is older if
// it has T: it is not on the page. A dirty one can be anywhere, so the dirty posts with T or more are added, most liked
// first, until `limit` of them are known here (posts may be liked that are not).
//
// Where it can miss a post that belongs on the page:
//  - more than kRankWalkMax posts were walked, because nearly all of the most liked ones are dirty;
//  - more than kRankDirtyMax dirty posts have T or more, hardly any of which is known here; or dirty posts beyond
//    kRankDirtyFirst tie with the page's last;
//  - more than kRankUnprojectedMax posts were created after they were liked, and the projection has not seen them.
//
// A post that stops being dirty during the walk was projected after the walk's snapshot: the projection's steps are
// compared before and after, and the walk is repeated, at most kRankReadsMax times.
//
// Thread-safe.

#include <vector>

#include "hearth/base/task.h"
#include "hearth/content/content.h"
#include "hearth/content/rank.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

class SqliteRank {
 public:
  SqliteRank(sqlite::Database& database, LiveCounts live);

  // In no order that matters; ranked() orders them. kHot adds the newest kRankHotNewestMax posts. There may be more than
  // kPostsPerReadMax, so their live counts are read in several questions.
  // REQUIRES: 1 <= limit <= kRankPostsMax.
  Task<Result<std::vector<Post>>> candidates(RankOrder order, std::size_t limit);

 private:
  sqlite::Database& database_;
  const LiveCounts live_;
};

}  // namespace hearth::content
