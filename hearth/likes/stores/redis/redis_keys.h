#pragma once

// The names of Redis' keys. Other programs may read and write beside Hearth by these names (docs/redis-keys.md).
//
// A post belongs to the partition crc16(post) % partitions: its changes go into that partition's stream. Plain names are
// those that apps use already. Tagged ones carry the partition as a hash tag, so that on Cluster all that a script of one
// post touches is in one slot; a session's posts are then one set a partition.

#include <cstdint>
#include <string>
#include <string_view>

#include "hearth/drivers/redis/client.h"
#include "hearth/outbox/position.h"

namespace hearth::likes {

enum class KeyLayout : std::uint8_t { kPlain, kTagged };

inline constexpr char kDeploymentKey[] = "hearth:deployment";

class RedisKeys {
 public:
  // REQUIRES: partitions > 0.
  RedisKeys(KeyLayout layout, int partitions) : layout_(layout), partitions_(partitions) {}

  outbox::Partition partitions() const { return partitions_; }
  outbox::Partition partition_of(std::string_view post) const { return redis::crc16(post) % partitions_; }
  // Partitions whose keys may be in different slots: 1 where all are on one server.
  bool is_tagged() const { return layout_ == KeyLayout::kTagged; }

  std::string likes(outbox::Partition partition, std::string_view post) const { return name("post:likes:", partition, post); }
  std::string liked(outbox::Partition partition, std::string_view post) const { return name("post:liked:", partition, post); }
  std::string version(outbox::Partition partition, std::string_view post) const { return name("post:version:", partition, post); }
  std::string session(outbox::Partition partition, std::string_view session) const { return name("session:likes:", partition, session); }
  std::string record(outbox::Partition partition, std::string_view scope) const { return name("hearth:idempotency:", partition, scope); }
  // The request that a key came with, where the record of its answer may be in another slot: it goes with the post.
  std::string claim(std::string_view scope) const { return name("hearth:idempotency-claim:", partition_of(scope), scope); }
  std::string staging(outbox::Partition partition, std::string_view load) const { return name("hearth:loading:", partition, load); }
  std::string stream(outbox::Partition partition) const {
    auto number = std::to_string(partition);
    return "hearth:outbox:" + (is_tagged() ? "{" + number + "}" : number);
  }

 private:
  std::string name(std::string_view kind, outbox::Partition partition, std::string_view id) const {
    std::string key(kind);
    if (is_tagged()) key.append("{").append(std::to_string(partition)).append("}:");
    return key.append(id);
  }

  KeyLayout layout_;
  int partitions_;
};

}  // namespace hearth::likes
