#pragma once

// Likes from Redis, or from SQL while Redis is away, as RedisGuard decides. A change that Redis may have got is never tried
// in SQL as well.

#include "hearth/likes/like_inbox.h"
#include "hearth/likes/stores/redis/redis_guard.h"

namespace hearth::likes {

class SwitchingLikeStore final : public LikeStore {
 public:
  SwitchingLikeStore(RedisLikeStore& live, LikeInbox& sql, const RedisGuard& guard) : live_(live), sql_(sql), guard_(guard) {}

  Task<Result<LikeOutcome>> change(LikeChange change) override;
  Task<std::vector<Result<LikeOutcome>>> change_all(std::vector<LikeChange> changes) override;
  Task<Result<std::vector<LikeView>>> read(std::vector<PostId> posts, std::optional<SessionId> session) override;

 private:
  LikeStore* serving();

  RedisLikeStore& live_;
  LikeInbox& sql_;
  const RedisGuard& guard_;
};

}  // namespace hearth::likes
