#pragma once

// The leases of partitions in PostgreSQL: rows of outbox_cursors, where the ledger checks them, and of nodes.
//
// A row that is being flushed right now is locked; it is left alone, for whoever flushes is alive and extends the lease.

#include <string>
#include <vector>

#include "hearth/drivers/postgres/database.h"
#include "hearth/outbox/partition_leases.h"

namespace hearth::outbox {

class PostgresPartitionLeases final : public PartitionLeases {
 public:
  // The database has been migrated, and outlives this.
  explicit PostgresPartitionLeases(postgres::Database& database) : database_(database) {}

  Result<std::vector<HeldPartition>> balance(const std::string& owner, Partition count) override;
  Result<HeldPartition> seize(const std::string& owner, Partition partition) override;
  Result<HeldPartition> claim(const std::string& owner, Partition partition) override;
  Result<std::string> last_owner(Partition partition) override;
  Result<void> release(const std::string& owner) override;

 private:
  postgres::Database& database_;
};

}  // namespace hearth::outbox
