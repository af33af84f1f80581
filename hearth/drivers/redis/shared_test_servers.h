#pragma once

// For tests: one server, or one Cluster, for all tests of a binary; each begins with it empty.

#include <string>

#include "hearth/drivers/redis/test_servers.h"

namespace hearth::redis {

inline RedisServer& shared_server() {
  static RedisServer server;
  return server;
}
inline RedisCluster& shared_cluster() {
  static RedisCluster cluster;
  return cluster;
}

// Return the URL.
inline std::string emptied(RedisServer& server) {
  server.run({"FLUSHALL"});
  return server.url();
}
inline std::string emptied(RedisCluster& cluster) {
  for (std::uint32_t third = 0; third < RedisCluster::kPrimaries; ++third) {
    auto slot = static_cast<std::uint16_t>((2 * third + 1) * kSlots / (2 * RedisCluster::kPrimaries));
    cluster.node(cluster.primary_of(slot)).run({"FLUSHALL"});
  }
  return cluster.url();
}

}  // namespace hearth::redis
