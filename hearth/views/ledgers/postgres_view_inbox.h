#pragma once

// The inbox in PostgreSQL: view_inbox, and view_waiting with the numbers of its rows that wait to be counted.
//
// Views of one item take turns, as each locks the item's row of view_counts before it looks for the viewer; a viewer who is
// known waits for nobody. Times are those of the given clock, or the view's own.
//
// A total is that of SQL and what waits. Rows that wait from before the live store was switched off (kDirect) are shown in
// totals, and go on waiting for it: only the live store knows whom it had counted.

#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/drivers/postgres/database.h"
#include "hearth/views/ledgers/postgres_view_tables.h"
#include "hearth/views/view_inbox.h"

namespace hearth::views {

class PostgresViewInbox final : public ViewInbox {
 public:
  // `window`: how long a viewer counts once. The database has been migrated; it and the clock outlive the inbox.
  PostgresViewInbox(postgres::Database& database, InboxMode mode, std::chrono::hours window, const Clock& clock,
                    PostgresViewTables tables = {});

  Task<Result<ViewOutcome>> view(View view) override;
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) override;
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override;
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) override;

  Result<std::vector<WaitingView>> waiting(std::size_t limit) override;
  Result<void> remove(const std::vector<std::uint64_t>& ids) override;
  Result<bool> prune(UtcMicros now) override;

 private:
  postgres::Database& database_;
  const InboxMode mode_;
  const std::chrono::hours window_;
  const Clock& clock_;
  const PostgresViewTables tables_;
  const std::string totals_sql_;
};

}  // namespace hearth::views
