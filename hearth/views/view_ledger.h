#pragma once

// Views in SQL: totals as of the last sync, in view_counts for every item and in stories.read_count and chapters.read_count
// where Hearth keeps the content, with numbers by hour and by day.
//
// Promises, checked on every implementation by view_ledger_conformance.h:
//  - write() is one transaction; a number is never replaced by a smaller one; writing the same again changes nothing.
//  - read_count is brought to the total of view_counts by the write, and where it was larger (another program counted
//    there), the total is brought to it.
//
// Thread-safe.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/views/view.h"

namespace hearth::views {

inline constexpr std::size_t kItemsPerWriteMax = 1'000;

// An item as a live store has counted it: absolute numbers.
struct CountedItem {
  ViewedItem item;
  std::uint64_t views = 0;
  // Views that SQL counted itself while the live store was switched off, as far as `views` holds them.
  std::uint64_t direct = 0;
  std::vector<HourViews> hours = {};  // those that may have changed since the last sync
};

struct SqlTotal {
  std::uint64_t views = 0;
  std::uint64_t direct = 0;
  std::optional<UtcMicros> synced_at = {};
};

struct WrittenItem {
  std::uint64_t views = 0;   // SQL's total now
  std::uint64_t direct = 0;  // and what of it SQL counted itself
  std::uint64_t added = 0;   // by this write
};

class ViewLedger {
 public:
  virtual ~ViewLedger() = default;

  // In the order asked; zeros for unknown items. Of view_counts, or read_count where that is larger.
  virtual Task<Result<std::vector<SqlTotal>>> totals(std::vector<ViewedItem> items) = 0;
  // Each total becomes max(views, counted.views + direct - counted.direct). In the order given. The day's numbers are the
  // sums of their hours. REQUIRES: items.size() <= kItemsPerWriteMax, each once.
  virtual Task<Result<std::vector<WrittenItem>>> write(std::vector<CountedItem> items, UtcMicros at) = 0;
  // Oldest first, without those of no views; days as hours at their midnight (UTC).
  virtual Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) = 0;
  virtual Task<Result<std::vector<HourViews>>> days(ViewedItem item, UtcHour since) = 0;
  // Drops hours and days older than kHoursKept and kDaysKept, some thousand rows at a time. True: there is more.
  virtual Task<Result<bool>> prune(UtcMicros now) = 0;
};

}  // namespace hearth::views
