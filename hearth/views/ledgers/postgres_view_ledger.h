#pragma once

// The ledger of views in PostgreSQL. A write takes a few statements, however many items it has, and waits for other writers
// of the same items; never for each other, as all lock in one order.

#include <string>
#include <vector>

#include "hearth/drivers/postgres/database.h"
#include "hearth/views/ledgers/postgres_view_tables.h"
#include "hearth/views/view_ledger.h"

namespace hearth::views {

class PostgresViewLedger final : public ViewLedger {
 public:
  // The database has been migrated, and outlives the ledger.
  explicit PostgresViewLedger(postgres::Database& database, PostgresViewTables tables = {});

  Task<Result<std::vector<SqlTotal>>> totals(std::vector<ViewedItem> items) override;
  Task<Result<std::vector<WrittenItem>>> write(std::vector<CountedItem> items, UtcMicros at) override;
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override;
  Task<Result<std::vector<HourViews>>> days(ViewedItem item, UtcHour since) override;
  Task<Result<bool>> prune(UtcMicros now) override;

 private:
  postgres::Database& database_;
  const PostgresViewTables tables_;
  const std::string totals_sql_;
};

}  // namespace hearth::views
