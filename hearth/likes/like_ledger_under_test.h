#pragma once

// For tests that run on several ledgers.

#include "hearth/likes/like_ledger.h"
#include "hearth/outbox/partition_leases.h"

namespace hearth::likes {

// A ledger and what it stands on.
class LikeLedgerUnderTest {
 public:
  virtual ~LikeLedgerUnderTest() = default;
  virtual LikeLedger& ledger() = 0;
  virtual void restart() = 0;
  virtual outbox::PartitionLeases* leases() { return nullptr; }  // null: one process has the ledger for itself
};

}  // namespace hearth::likes
