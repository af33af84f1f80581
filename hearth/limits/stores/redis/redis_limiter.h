#pragma once

// Limits in Redis, shared by all nodes.
//
// Checks of one partition are one script (limit.lua). Those of several, on Cluster, are first tried, then taken in all
// partitions, and given back at once if one refuses meanwhile: for that moment others may be refused a place that nobody gets.
//
// Time is that of the Redis server that has the key, and for each key it never goes back. What a crash of Redis loses (see
// appendfsync, and failovers) it may admit again.
//
// A key ends when all of it has left. An admission of a sliding window takes 12 bytes in the list of its key (measured on
// Redis 7: 200 bytes for a key with one admission, 1,432 with 100, 121,544 with 10,000, which is the most there are but for
// those that a smaller limit left).

#include <cstddef>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/drivers/redis/key_names.h"
#include "hearth/limits/limiter.h"
#include "hearth/limits/sliding_window.h"

namespace hearth::limits {

class RedisLimiter final : public Limiter {
 public:
  struct Options {
    std::size_t exact_entries_max = kExactEntriesMax;
    const Clock* clock = nullptr;  // for tests: instead of Redis' time
  };

  RedisLimiter(redis::Client& client, redis::KeyNames names, Options options);
  RedisLimiter(redis::Client& client, redis::KeyNames names) : RedisLimiter(client, names, Options{}) {}

  Task<Result<std::vector<Decision>>> take(std::vector<Check> checks) override;
  Task<Result<std::vector<Decision>>> peek(std::vector<Check> checks) override;
  Task<Result<Decision>> refund(Check check) override;

 private:
  // The checks of one partition: one script.
  struct Group {
    redis::KeyNames::Partition partition = 0;
    std::vector<std::size_t> items;
  };
  struct Answer {
    Decision decision;
    std::string taken;  // what undo needs, as the script said it
  };
  using Answers = std::vector<Answer>;

  std::vector<Group> grouped(const std::vector<Check>& checks) const;
  redis::ScriptCall call_for(const char* mode, const Group& group, const std::vector<Check>& checks, const Answers& taken) const;
  Task<Result<void>> run(const char* mode, const std::vector<Group>& groups, const std::vector<Check>& checks, Answers& answers);
  Task<Result<void>> take_together(const std::vector<Group>& groups, const std::vector<Check>& checks, Answers& answers);

  redis::Client& client_;
  const redis::KeyNames names_;
  const Options options_;
};

}  // namespace hearth::limits
