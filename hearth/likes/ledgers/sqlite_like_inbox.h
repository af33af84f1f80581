#pragma once

// The inbox in ratings.db, for one node whose live store is Redis. No other program writes its ratings, so that every
// operation is one of fallback.

#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/likes/like_inbox.h"

namespace hearth::likes {

class SqliteLikeInbox final : public LikeInbox {
 public:
  // `ratings`: SqliteLikeLedger::database(). Both outlive the inbox.
  SqliteLikeInbox(sqlite::Database& ratings, const Clock& clock) : database_(ratings), clock_(clock) {}

  Task<Result<LikeOutcome>> change(LikeChange change) override;
  Task<std::vector<Result<LikeOutcome>>> change_all(std::vector<LikeChange> changes) override;
  Task<Result<std::vector<LikeView>>> read(std::vector<PostId> posts, std::optional<SessionId> session) override;
  Task<Result<std::vector<LikedPost>>> likes_of(std::string session, std::size_t limit) override;

  Result<std::vector<InboxOperation>> operations(std::size_t limit) override;
  Result<void> remove(const std::vector<std::uint64_t>& ids) override;
  Result<std::vector<AnsweredKey>> answered_keys() override;

 private:
  sqlite::Database& database_;
  const Clock& clock_;
};

}  // namespace hearth::likes
