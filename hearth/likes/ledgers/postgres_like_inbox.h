#pragma once

// The inbox in PostgreSQL: like_inbox and inbox_keys, over post_counts and the ratings.
//
// A post in fallback is what its newest operation says, unless the ledger has a newer version or another program has
// written ratings since; then its likes are counted. Drained operations count as long as the ledger is behind them.
//
// Locks: the keys, the mode (shared with other changes, not with a change of mode), the posts.

#include <memory>
#include <string>
#include <vector>

#include "hearth/drivers/postgres/database.h"
#include "hearth/likes/ledger_names.h"
#include "hearth/likes/like_inbox.h"

namespace hearth::likes {

struct InboxChanges;

class PostgresLikeInbox final : public LikeInbox {
 public:
  // Looks the tables up, notes their names for functions in SQL, and puts the triggers on the ratings, if they are not there.
  // Where Hearth may not do that, what other programs write is left to the reconciler, and a warning says so. The database has been
  // migrated, and outlives the inbox. Errors as those of PostgresLikeLedger::open().
  static Result<std::unique_ptr<PostgresLikeInbox>> open(postgres::Database& database, const LedgerNames& names = {});
  ~PostgresLikeInbox() override;

  Task<Result<LikeOutcome>> change(LikeChange change) override;
  Task<std::vector<Result<LikeOutcome>>> change_all(std::vector<LikeChange> changes) override;
  Task<Result<std::vector<LikeView>>> read(std::vector<PostId> posts, std::optional<SessionId> session) override;
  Task<Result<std::vector<LikedPost>>> likes_of(std::string session, std::size_t limit) override;

  Result<std::vector<InboxOperation>> operations(std::size_t limit) override;
  Result<void> remove(const std::vector<std::uint64_t>& ids) override;
  Result<std::vector<AnsweredKey>> answered_keys() override;

 private:
  struct Statements;
  class Reader;

  PostgresLikeInbox(postgres::Database& database, std::unique_ptr<const Statements> statements);

  postgres::Database& database_;
  std::unique_ptr<const Statements> statements_;
};

}  // namespace hearth::likes
