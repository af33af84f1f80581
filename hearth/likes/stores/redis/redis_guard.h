#pragma once

// Decides where likes are served from: Redis, or SQL while Redis is away, or nowhere for the moment.
//
// Redis is used only by a node that has asked SQL for the mode since it last (re)connected, and only servers that were
// compared with SQL since they started (PartitionCheck). SQL takes over when no node has reached Redis for
// likes::kFallbackAfter; Redis serves again when what came meanwhile, the inbox, has been brought into it. Without SQL a
// node goes on with the Redis that it has; it cannot begin with another.
//
// step() runs on one thread; the rest on any.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "hearth/base/clock.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/likes/inbox_drainer.h"
#include "hearth/likes/live_control.h"
#include "hearth/likes/stores/redis/partition_check.h"
#include "hearth/likes/stores/redis/redis_like_store.h"
#include "hearth/outbox/partition_leases.h"

namespace hearth::likes {

// What kDeploymentKey holds.
std::string text_of(const Deployment& deployment);

enum class ServedFrom : std::uint8_t { kNowhere, kLive, kSql };

class RedisGuard {
 public:
  struct Parts {
    redis::Client& client;
    const Clock& clock;
    RedisLikeStore& store;
    LikeInbox& inbox;
    LiveControl& control;
    outbox::PartitionLeases& leases;
    PartitionCheck& check;
    RedisKeys keys;
    Deployment deployment;
    std::string node;
  };
  explicit RedisGuard(Parts parts);

  // Looks and decides. True: there is more to drain.
  Result<bool> step();
  // A server was lost or connected to: nothing is served from Redis until the next step. Any thread.
  void on_change();

  ServedFrom served_from() const { return served_from_; }
  // Why nothing is served.
  Error reason() const;

 private:
  Result<bool> decide();
  Result<bool> without_live();
  Result<void> admit_servers();
  Result<void> check_deployment(const redis::ServerInfo& server);
  Result<void> check_version(const redis::ServerInfo& server) const;
  Result<void> report_settings(const redis::ServerInfo& server);
  Result<void> drain();
  Result<void> remember_keys();
  void set(ServedFrom from, std::uint64_t changes);

  Parts parts_;
  InboxDrainer drainer_;
  std::optional<std::chrono::steady_clock::time_point> away_since_;  // the thread of step()
  std::atomic<ServedFrom> served_from_{ServedFrom::kNowhere};
  std::unordered_set<std::string> remembered_;  // keys of fallback that this Redis knows
  std::atomic<std::uint64_t> changes_{0};       // of the client's connections
  mutable std::mutex mutex_;
  Error reason_{ErrorCode::kUnavailable, "the live store has not been reached yet"};
};

}  // namespace hearth::likes
