#pragma once

// The candidates of the rank (see rank.h) from PostgreSQL. A flush writes posts.likes with its other tables, and a new post is
// created with its likes: no post is behind the ledger. Whether SQL learned of changes is seen by the ledger's place in the
// journal; without a journal the dirty posts are frozen.
//
// Thread-safe.

#include <utility>
#include <vector>

#include "hearth/content/rank.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::content {

class PostgresRank final : public RankCandidates {
 public:
  PostgresRank(postgres::Database& database, ReadDirty read_dirty) : database_(database), read_dirty_(std::move(read_dirty)) {}

  Task<Result<std::vector<Post>>> collect(RankOrder order, std::size_t limit) override;

 private:
  postgres::Database& database_;
  const ReadDirty read_dirty_;
};

}  // namespace hearth::content
