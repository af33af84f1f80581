#pragma once

// Likes as they stand in Redis, also the keys of other programs: loads nothing and changes nothing. Thread-safe.

#include <optional>
#include <string>
#include <vector>

#include "hearth/drivers/redis/client.h"
#include "hearth/likes/live_posts.h"
#include "hearth/likes/stores/redis/redis_keys.h"

namespace hearth::likes {

class RedisLook {
 public:
  RedisLook(redis::Client& client, RedisKeys keys) : client_(client), keys_(keys) {}

  // As those of LivePosts. Nothing, and a line in the log, for a post whose keys hold something else.
  Task<Result<std::vector<std::optional<LiveCount>>>> counts(std::vector<std::string> posts);
  Task<Result<LivePosts::Page>> scan(std::string from);

 private:
  redis::Client& client_;
  const RedisKeys keys_;
};

}  // namespace hearth::likes
