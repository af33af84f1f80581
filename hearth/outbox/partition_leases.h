#pragma once

// Which node reads which partition of the outbox.
//
// A lease is a row beside the partition's cursor in SQL. Whoever takes a partition raises its fence; the ledger checks
// owner and fence in every transaction that moves the cursor, so a node that was stopped beyond its lease writes nothing
// more. Times are those of the database's clock. These block: for background threads. Thread-safe.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/outbox/position.h"

namespace hearth::outbox {

inline constexpr std::chrono::milliseconds kLeaseDuration{10'000};

struct Lease {
  std::string owner = {};  // the node
  std::uint64_t fence = 0;
};

struct HeldPartition {
  Partition partition = 0;
  Lease lease;
};

class PartitionLeases {
 public:
  virtual ~PartitionLeases() = default;

  // Says that `owner` lives, renews what it holds of the partitions 0 … count-1, takes free and expired ones up to its
  // share among the nodes that live, and gives back what is above its share. Returns what it holds now.
  virtual Result<std::vector<HeldPartition>> balance(const std::string& owner, Partition count) = 0;
  // Takes `partition` from whoever has it.
  virtual Result<HeldPartition> seize(const std::string& owner, Partition partition) = 0;
  // Takes `partition` if nobody else's lease on it lasts. kConflict: someone's does; the message names the owner.
  virtual Result<HeldPartition> claim(const std::string& owner, Partition partition) = 0;
  // Whoever has it, or had it last and did not give it back; empty if nobody did.
  virtual Result<std::string> last_owner(Partition partition) = 0;
  // Gives back all that `owner` holds, and its place among the living.
  virtual Result<void> release(const std::string& owner) = 0;
};

}  // namespace hearth::outbox
