#pragma once

// The sets of what each session likes, which other programs may have left with posts that it does not like any more: lists
// of posts take their flags from there. REQUIRES: every post that SQL knows is loaded.
//
// Blocks; one thread. Likes may go on.

#include <cstdint>
#include <string>
#include <vector>

#include "hearth/drivers/redis/client.h"
#include "hearth/likes/like_store.h"
#include "hearth/likes/stores/redis/redis_keys.h"

namespace hearth::likes {

class SessionSets {
 public:
  // The client is admitted.
  SessionSets(redis::Client& client, LikeStore& store, RedisKeys keys) : client_(client), store_(store), keys_(keys) {}

  // Goes through all sets. Returns how many posts were taken out of them.
  Result<std::uint64_t> prune();

 private:
  Result<void> prune_set(const std::string& key, outbox::Partition partition, const std::string& session);
  Result<void> prune_posts(const std::string& key, outbox::Partition partition, const std::string& session, std::vector<std::string> posts);

  redis::Client& client_;
  LikeStore& store_;
  const RedisKeys keys_;
  std::uint64_t taken_ = 0;
};

}  // namespace hearth::likes
