#pragma once

// The ledger in SQLite: ratings.db, with integers for posts and packed UUIDs for sessions.

#include <filesystem>
#include <memory>
#include <string>

#include "hearth/drivers/sqlite/database.h"
#include "hearth/likes/like_ledger.h"

namespace hearth::likes {

class SqliteLikeLedger final : public LikeLedger {
 public:
  static Result<std::unique_ptr<SqliteLikeLedger>> open(std::filesystem::path path, std::string vfs = {});

  Task<Result<std::vector<LedgerPost>>> heads(std::vector<std::string> posts) override;
  Task<Result<LedgerMembers>> members(std::string post) override;
  Task<Result<std::vector<LikedPost>>> likes_of(std::string session, std::size_t limit, ReadTail read_tail) override;
  Task<Result<std::vector<AuditedPost>>> audit(std::string after, std::size_t limit) override;
  Task<Result<bool>> repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) override;

  Result<AppliedBatch> apply(const LedgerBatch& batch) override;
  Result<std::vector<LedgerPost>> heads_blocking(const std::vector<std::string>& posts) override;
  Result<std::vector<LedgerPost>> heads_after(const std::string& after, std::size_t limit) override;
  Result<LedgerCursor> cursor(outbox::Partition partition) override;
  Task<Result<std::vector<std::pair<outbox::Partition, LedgerCursor>>>> cursors() override;
  Result<void> reset_cursor(outbox::Partition partition, const outbox::Lease& lease) override;
  Result<std::uint64_t> post_count() override;

  // For what is kept beside the ledger, in the same transactions.
  sqlite::Database& database() { return *database_; }
  void stop() { database_->stop(); }

 private:
  explicit SqliteLikeLedger(std::unique_ptr<sqlite::Database> database) : database_(std::move(database)) {}

  std::unique_ptr<sqlite::Database> database_;
};

}  // namespace hearth::likes
