#include "hearth/views/ledgers/sqlite_view_ledger.h"

#include <utility>

#include "hearth/base/assert.h"
#include "hearth/views/ledgers/counted_totals.h"
#include "hearth/views/ledgers/sqlite_view_rows.h"

namespace hearth::views {
namespace {

using sqlite::Connection;

constexpr char kHours[] = "SELECT hour, views FROM view_hours WHERE kind = ?1 AND item_id = ?2 AND hour >= ?3 AND views > 0 ORDER BY hour";
constexpr char kDays[] = "SELECT day, views FROM view_days WHERE kind = ?1 AND item_id = ?2 AND day >= ?3 AND views > 0 ORDER BY day";
constexpr char kPruneHours[] =
    "DELETE FROM view_hours WHERE (kind, item_id, hour) IN (SELECT kind, item_id, hour FROM view_hours WHERE hour < ?1 LIMIT ?2)";
constexpr char kPruneDays[] =
    "DELETE FROM view_days WHERE (kind, item_id, day) IN (SELECT kind, item_id, day FROM view_days WHERE day < ?1 LIMIT ?2)";

WrittenItem write_one(Connection& connection, const CountedItem& counted, UtcMicros at) {
  auto before = read_total(connection, counted.item);
  auto views = total_with(counted, before.views, before.direct);
  write_total(connection, counted.item, views, before.direct, at);
  write_hours(connection, counted.item, counted.hours);
  return {.views = views, .direct = before.direct, .added = views - before.views};
}

}  // namespace

Task<Result<std::vector<SqlTotal>>> SqliteViewLedger::totals(std::vector<ViewedItem> items) {
  co_return co_await database_.read([items = std::move(items)](Connection& connection) -> Result<std::vector<SqlTotal>> {
    std::vector<SqlTotal> totals;
    totals.reserve(items.size());
    for (const auto& item : items) totals.push_back(read_total(connection, item));
    return totals;
  });
}

Task<Result<std::vector<WrittenItem>>> SqliteViewLedger::write(std::vector<CountedItem> items, UtcMicros at) {
  HEARTH_ASSERT(items.size() <= kItemsPerWriteMax);
  co_return co_await database_.write([items = std::move(items), at](Connection& connection) -> Result<std::vector<WrittenItem>> {
    std::vector<WrittenItem> written;
    written.reserve(items.size());
    for (const auto& item : items) written.push_back(write_one(connection, item, at));
    return written;
  });
}

Task<Result<std::vector<HourViews>>> SqliteViewLedger::hours(ViewedItem item, UtcHour since) {
  co_return co_await database_.read([item = std::move(item), since](Connection& connection) -> Result<std::vector<HourViews>> {
    return hours_in(connection.statement(kHours).query(name_of(item.kind), item.id.view(), micros(since)));
  });
}

Task<Result<std::vector<HourViews>>> SqliteViewLedger::days(ViewedItem item, UtcHour since) {
  co_return co_await database_.read([item = std::move(item), since](Connection& connection) -> Result<std::vector<HourViews>> {
    return hours_in(connection.statement(kDays).query(name_of(item.kind), item.id.view(), micros(since)));
  });
}

Task<Result<bool>> SqliteViewLedger::prune(UtcMicros now) {
  co_return co_await database_.write([now](Connection& connection) -> Result<bool> {
    auto hours = connection.statement(kPruneHours).run(micros(now - kHoursKept), kPrunedMax);
    auto days = connection.statement(kPruneDays).run(micros(now - kDaysKept), kPrunedMax);
    return hours == static_cast<int>(kPrunedMax) || days == static_cast<int>(kPrunedMax);
  });
}

}  // namespace hearth::views
