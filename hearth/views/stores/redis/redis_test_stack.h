#pragma once

// For tests: views in Redis over a ledger, as one node has them.

#include <memory>
#include <string>
#include <utility>

#include "hearth/base/clock.h"
#include "hearth/drivers/redis/shared_test_servers.h"
#include "hearth/drivers/redis/test_clients.h"
#include "hearth/views/stores/redis/redis_view_store.h"

namespace hearth::views {

inline constexpr int kTestPartitions = 4;

struct RedisNode {
  RedisNode(std::string url, redis::KeyLayout layout, ViewLedger& ledger, const Clock& clock, RedisViewStore::Time time,
            std::chrono::hours window = std::chrono::hours(24))
      : client(redis::connected({.url = std::move(url), .call_timeout = std::chrono::milliseconds(2'000)})),
        store(*client, ledger, clock, redis::KeyNames(layout, kTestPartitions), window, time) {}
  ~RedisNode() { client->stop(); }

  std::unique_ptr<redis::Client> client;
  RedisViewStore store;
};

}  // namespace hearth::views
