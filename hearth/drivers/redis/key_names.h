#pragma once

// How names of Redis' keys are laid out. What belongs together is in one partition, crc16(id) % partitions. Plain names are those
// that apps use already. Tagged ones carry the partition as a hash tag, so that on Cluster all that a script touches is in
// one slot.

#include <cstdint>
#include <string>
#include <string_view>

#include "hearth/drivers/redis/client.h"

namespace hearth::redis {

enum class KeyLayout : std::uint8_t { kPlain, kTagged };

class KeyNames {
 public:
  using Partition = std::int32_t;

  // REQUIRES: partitions > 0.
  KeyNames(KeyLayout layout, int partitions) : layout_(layout), partitions_(partitions) {}

  Partition partitions() const { return partitions_; }
  Partition partition_of(std::string_view id) const { return crc16(id) % partitions_; }
  // Partitions whose keys may be in different slots: 1 where all are on one server.
  bool is_tagged() const { return layout_ == KeyLayout::kTagged; }

  // kind + id, with the partition's tag between them where there are tags.
  std::string name(std::string_view kind, Partition partition, std::string_view id) const {
    std::string key(kind);
    if (is_tagged()) key.append("{").append(std::to_string(partition)).append("}:");
    return key.append(id);
  }

 private:
  KeyLayout layout_;
  int partitions_;
};

}  // namespace hearth::redis
