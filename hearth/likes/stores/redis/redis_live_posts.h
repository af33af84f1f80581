#pragma once

// The live store in Redis as the reconciler and the flusher see it. A post is never called dirty here: what has not
// reached SQL shows by the versions.

#include <utility>

#include "hearth/base/clock.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/live_posts.h"
#include "hearth/likes/stores/redis/redis_keys.h"
#include "hearth/likes/stores/redis/redis_like_store.h"
#include "hearth/likes/stores/redis/redis_look.h"

namespace hearth::likes {

class RedisLivePosts final : public LivePosts {
 public:
  RedisLivePosts(redis::Client& client, RedisLikeStore& store, const Clock& clock, RedisKeys keys)
      : client_(client), store_(store), clock_(clock), keys_(keys), look_(client, keys) {}

  Task<Result<std::vector<std::optional<LiveCount>>>> counts(std::vector<std::string> posts) override {
    return look_.counts(std::move(posts));
  }
  Task<Result<std::vector<std::optional<LivePost>>>> clean(std::vector<std::string> posts, bool wants_sessions) override;
  Task<Result<bool>> is_dirty(std::string post) override;
  Task<Result<bool>> forget(std::string post, std::uint64_t version) override;
  Task<Result<std::optional<std::uint64_t>>> reserve_version(std::string post, std::uint64_t above) override;
  Task<Result<void>> recount(std::string post) override;
  // By SCAN over the sets of members: for background work, not for requests of users.
  Task<Result<Page>> scan(std::string from) override { return look_.scan(std::move(from)); }

  // The post whole, at one version; version 0 if it is not loaded. `admission`: also of a server that is being checked.
  Task<Result<LedgerMembers>> copy(std::string post, redis::Admission admission = redis::Admission::kNeeded);
  // The versions of loaded posts, 0 for others.
  Task<Result<std::vector<std::uint64_t>>> versions(std::vector<std::string> posts, redis::Admission admission);
  Task<Result<bool>> drop(std::string post, std::uint64_t version, redis::Admission admission);

 private:
  redis::ScriptCall copy_call(const std::string& post, std::size_t members_max, redis::Admission admission) const;
  Task<Result<LedgerMembers>> copy_large(std::string post, redis::Admission admission);

  redis::Client& client_;
  RedisLikeStore& store_;
  const Clock& clock_;
  const RedisKeys keys_;
  RedisLook look_;
};

}  // namespace hearth::likes
