#pragma once

// The names of Redis' keys. Other programs may read and write beside Hearth by these names (docs/redis-keys.md).
//
// A post belongs to the partition of its id (key_names.h): its changes go into that partition's stream. A session's posts are,
// with tagged names, one set a partition.

#include <string>
#include <string_view>

#include "hearth/drivers/redis/key_names.h"
#include "hearth/outbox/position.h"

namespace hearth::likes {

using redis::KeyLayout;

inline constexpr char kDeploymentKey[] = "hearth:deployment";

class RedisKeys : public redis::KeyNames {
 public:
  using KeyNames::KeyNames;

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
};

}  // namespace hearth::likes
