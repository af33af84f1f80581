#pragma once

// The leases of a node that has SQL for itself, as with SQLite: it holds every partition, always.

#include <string>
#include <vector>

#include "hearth/outbox/partition_leases.h"

namespace hearth::outbox {

class SolePartitionLeases final : public PartitionLeases {
 public:
  Result<std::vector<HeldPartition>> balance(const std::string& owner, Partition count) override {
    std::vector<HeldPartition> held;
    for (Partition partition = 0; partition < count; ++partition) held.push_back(hold(owner, partition));
    return held;
  }
  Result<HeldPartition> seize(const std::string& owner, Partition partition) override { return hold(owner, partition); }
  Result<HeldPartition> claim(const std::string& owner, Partition partition) override { return hold(owner, partition); }
  Result<std::string> last_owner(Partition /*partition*/) override { return std::string(); }
  Result<void> release(const std::string& /*owner*/) override { return {}; }

 private:
  static HeldPartition hold(const std::string& owner, Partition partition) {
    return {.partition = partition, .lease = {.owner = owner, .fence = 1}};
  }
};

}  // namespace hearth::outbox
