#pragma once

// The ledger of views in content.db.

#include <vector>

#include "hearth/drivers/sqlite/database.h"
#include "hearth/views/view_ledger.h"

namespace hearth::views {

class SqliteViewLedger final : public ViewLedger {
 public:
  // `content`: content.db. It outlives the ledger.
  explicit SqliteViewLedger(sqlite::Database& content) : database_(content) {}

  Task<Result<std::vector<SqlTotal>>> totals(std::vector<ViewedItem> items) override;
  Task<Result<std::vector<WrittenItem>>> write(std::vector<CountedItem> items, UtcMicros at) override;
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override;
  Task<Result<std::vector<HourViews>>> days(ViewedItem item, UtcHour since) override;
  Task<Result<bool>> prune(UtcMicros now) override;

 private:
  sqlite::Database& database_;
};

}  // namespace hearth::views
