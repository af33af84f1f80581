#pragma once

// The ledger in PostgreSQL: post_ratings, post_counts, the cursors, and the copy of the counts in posts.
//
// A flush is one transaction, in this order of locks, which every writer of likes keeps: the partition's cursor, rows of
// post_counts by id, ratings, posts. Each step is one statement over arrays. It is short-lived even if this node is stopped
// in the middle: the server ends it before the lease does.
//
// What SQL refuses (a constraint or a trigger of an adopted table, an id that is none of its column's type) is found by
// halving, and parked in outbox_parked; the count of its post is then that of its rows. Posts that refuse their count keep
// the old one. Both are logged as errors.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hearth/drivers/postgres/database.h"
#include "hearth/likes/ledger_names.h"
#include "hearth/likes/like_ledger.h"

namespace hearth::likes {

class PostgresLikeLedger final : public LikeLedger {
 public:
  // Looks the tables up; the database has been migrated, and outlives the ledger. kInvalidArgument names a setting of
  // `names`; kConflict says what an adopted table lacks.
  static Result<std::unique_ptr<PostgresLikeLedger>> open(postgres::Database& database, const LedgerNames& names = {});
  ~PostgresLikeLedger() override;

  Task<Result<std::vector<LedgerPost>>> heads(std::vector<std::string> posts) override;
  Task<Result<LedgerMembers>> members(std::string post) override;
  Task<Result<std::vector<LikedPost>>> likes_of(std::string session, std::size_t limit, ReadTail read_tail) override;
  Task<Result<std::vector<std::pair<outbox::Partition, LedgerCursor>>>> cursors() override;
  Task<Result<std::vector<AuditedPost>>> audit(std::string after, std::size_t limit) override;
  Task<Result<bool>> repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) override;

  Result<AppliedBatch> apply(const LedgerBatch& batch) override;
  Result<std::vector<LedgerPost>> heads_blocking(const std::vector<std::string>& posts) override;
  Result<std::vector<LedgerPost>> heads_after(const std::string& after, std::size_t limit) override;
  Result<LedgerCursor> cursor(outbox::Partition partition) override;
  Result<void> reset_cursor(outbox::Partition partition, const outbox::Lease& lease) override;
  Result<std::uint64_t> post_count() override;

 private:
  struct Statements;
  class Writer;

  PostgresLikeLedger(postgres::Database& database, std::unique_ptr<const Statements> statements);

  postgres::Database& database_;
  std::unique_ptr<const Statements> statements_;  // with the names of the tables in them
};

}  // namespace hearth::likes
