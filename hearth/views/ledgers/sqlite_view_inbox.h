#pragma once

// The inbox in content.db, for one node whose live store is Redis: view_inbox, and view_waiting with the numbers of its rows
// that wait to be counted. Times are those of the given clock, or the view's own.
//
// A total is that of SQL and what waits. Rows that wait from before the live store was switched off (kDirect) are shown in
// totals, and go on waiting for it: only the live store knows whom it had counted.

#include <vector>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/views/view_inbox.h"

namespace hearth::views {

class SqliteViewInbox final : public ViewInbox {
 public:
  // `content`: content.db. `window`: how long a viewer counts once. The database and the clock outlive the inbox.
  SqliteViewInbox(sqlite::Database& content, InboxMode mode, std::chrono::hours window, const Clock& clock)
      : database_(content), mode_(mode), window_(window), clock_(clock) {}

  Task<Result<ViewOutcome>> view(View view) override;
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) override;
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override;
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) override;

  Result<std::vector<WaitingView>> waiting(std::size_t limit) override;
  Result<void> remove(const std::vector<std::uint64_t>& ids) override;
  Result<bool> prune(UtcMicros now) override;

 private:
  sqlite::Database& database_;
  const InboxMode mode_;
  const std::chrono::hours window_;
  const Clock& clock_;
};

}  // namespace hearth::views
