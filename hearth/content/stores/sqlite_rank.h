#pragma once

// The candidates of the rank (see rank.h) from content.db.
//
// The projection (LikeProjection) is behind the ledger, and a new post is not projected at all at first: those are candidates
// too. More than kRankUnprojectedMax that were liked before they were created may be missed.
//
// Whether SQL learned of changes is seen by the number of the projection's steps.
//
// Thread-safe.

#include <vector>

#include "hearth/content/rank.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

class SqliteRank final : public RankCandidates {
 public:
  SqliteRank(sqlite::Database& database, ReadDirty read_dirty);

  Task<Result<std::vector<Post>>> collect(RankOrder order, std::size_t limit) override;

 private:
  sqlite::Database& database_;
  const ReadDirty read_dirty_;
};

}  // namespace hearth::content
