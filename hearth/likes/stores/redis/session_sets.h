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
  // A part of a session's set.
  struct Part {
    std::string key;
    outbox::Partition partition = 0;
    std::string session;
    std::string cursor = "0";
    std::vector<std::string> posts = {};
  };
  Result<void> prune_sets(std::vector<Part> parts);
  Result<std::vector<Part>> read_posts(std::vector<Part>& parts);
  Result<void> prune_posts(std::vector<Part> parts);
  redis::ScriptCall call_for(const Part& part) const;

  redis::Client& client_;
  LikeStore& store_;
  const RedisKeys keys_;
  std::uint64_t taken_ = 0;
};

}  // namespace hearth::likes
