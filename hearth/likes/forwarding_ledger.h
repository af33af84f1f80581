#pragma once

// For tests: a ledger that hands every call to another one; a test overrides the call it wants to step into.

#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/like_ledger.h"

namespace hearth::likes {

class ForwardingLedger : public LikeLedger {
 public:
  explicit ForwardingLedger(LikeLedger& ledger) : ledger_(ledger) {}

  Task<Result<std::vector<LedgerPost>>> heads(std::vector<std::string> posts) override { return ledger_.heads(std::move(posts)); }
  Task<Result<LedgerMembers>> members(std::string post) override { return ledger_.members(std::move(post)); }
  Task<Result<std::vector<LikedPost>>> likes_of(std::string session, std::size_t limit, ReadTail read_tail) override {
    return ledger_.likes_of(std::move(session), limit, std::move(read_tail));
  }
  Task<Result<std::vector<AuditedPost>>> audit(std::string after, std::size_t limit) override {
    return ledger_.audit(std::move(after), limit);
  }
  Task<Result<bool>> repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) override {
    return ledger_.repair(std::move(expected), std::move(sessions), new_version);
  }
  Result<std::vector<LedgerPost>> heads_blocking(const std::vector<std::string>& posts) override { return ledger_.heads_blocking(posts); }
  Result<std::vector<LedgerPost>> heads_after(const std::string& after, std::size_t limit) override {
    return ledger_.heads_after(after, limit);
  }
  Result<AppliedBatch> apply(const LedgerBatch& batch) override { return ledger_.apply(batch); }
  Result<LedgerCursor> cursor(outbox::Partition partition) override { return ledger_.cursor(partition); }
  Task<Result<std::vector<std::pair<outbox::Partition, LedgerCursor>>>> cursors() override { return ledger_.cursors(); }
  Result<void> reset_cursor(outbox::Partition partition, const outbox::Lease& lease) override {
    return ledger_.reset_cursor(partition, lease);
  }
  Result<std::uint64_t> post_count() override { return ledger_.post_count(); }

 private:
  LikeLedger& ledger_;
};

}  // namespace hearth::likes
