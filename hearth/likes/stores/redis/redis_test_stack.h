#pragma once

// For tests: likes in Redis over a ledger in SQLite, with everything that a node has, stepped by hand.

#include <memory>
#include <string>
#include <utility>

#include "hearth/base/clock.h"
#include "hearth/base/run_to_end.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/drivers/redis/test_servers.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"
#include "hearth/likes/stores/redis/partition_check.h"
#include "hearth/likes/stores/redis/redis_flusher.h"
#include "hearth/likes/stores/redis/redis_like_store.h"
#include "hearth/likes/stores/redis/redis_live_posts.h"
#include "hearth/likes/stores/redis/redis_outbox.h"
#include "hearth/likes/test_stack.h"

namespace hearth::likes {

inline constexpr int kTestPartitions = 4;

// One server, or one Cluster, for all tests of a binary: each begins with it empty.
inline redis::RedisServer& shared_server() {
  static redis::RedisServer server;
  return server;
}
inline redis::RedisCluster& shared_cluster() {
  static redis::RedisCluster cluster;
  return cluster;
}
inline std::string emptied(redis::RedisServer& server) {
  server.run({"FLUSHALL"});
  return server.url();
}
inline std::string emptied(redis::RedisCluster& cluster) {
  for (outbox::Partition partition = 0; partition < kTestPartitions; ++partition) {
    auto key = RedisKeys(KeyLayout::kTagged, kTestPartitions).stream(partition);
    cluster.node(cluster.primary_of(redis::slot_of(key))).run({"FLUSHALL"});
  }
  return cluster.url();
}

// What one node has. The ledger is given: nodes share it.
struct RedisNode {
  RedisNode(std::string url, RedisKeys keys, LikeLedger& ledger, const Clock& clock)
      : client(must(redis::Client::open({.url = std::move(url)}))),
        store(*client, ledger, clock, keys),
        posts(*client, store, clock, keys),
        outbox(*client, keys),
        check(outbox, posts, ledger, keys),
        flusher(outbox, posts, ledger, check),
        partitions(keys.partitions()) {
    if (!redis::eventually([this] { return client->is_serving(); })) throw std::runtime_error("Redis does not serve");
  }
  ~RedisNode() { client->stop(); }

  static outbox::HeldPartition held(outbox::Partition partition) {
    return {.partition = partition, .lease = {.owner = "node", .fence = 1}};
  }
  Result<void> try_flush() {
    for (outbox::Partition partition = 0; partition < partitions; ++partition) {
      for (bool more = true; more;) {
        auto moved = flusher.run_once(held(partition));
        if (!moved) return std::unexpected(moved.error());
        more = *moved;
      }
    }
    return {};
  }
  void flush() { must(try_flush()); }

  std::unique_ptr<redis::Client> client;
  RedisLikeStore store;
  RedisLivePosts posts;
  RedisOutbox outbox;
  PartitionCheck check;
  RedisFlusher flusher;
  const outbox::Partition partitions;
};

}  // namespace hearth::likes
