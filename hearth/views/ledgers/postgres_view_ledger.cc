#include "hearth/views/ledgers/postgres_view_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/views/ledgers/counted_totals.h"
#include "hearth/views/ledgers/postgres_view_rows.h"

namespace hearth::views {
namespace {

using postgres::Connection;

// {}: the largest number of content.
constexpr char kTotals[] =
    "SELECT greatest(c.views, {}), coalesce(c.direct, 0), c.synced_at "
    "FROM unnest($1, $2) WITH ORDINALITY AS wanted (kind, id, place) "
    "LEFT JOIN view_counts AS c ON c.kind = wanted.kind AND c.item_id = wanted.id ORDER BY place";
constexpr std::string_view kHours =
    "SELECT hour, views FROM view_hours WHERE kind = $1 AND item_id = $2 AND hour >= $3 AND views > 0 ORDER BY hour";
constexpr std::string_view kDays =
    "SELECT day, views FROM view_days WHERE kind = $1 AND item_id = $2 AND day >= $3 AND views > 0 ORDER BY day";
// What another node prunes is left to it.
constexpr std::string_view kPruneHours =
    "DELETE FROM view_hours WHERE (kind, item_id, hour) IN "
    "(SELECT kind, item_id, hour FROM view_hours WHERE hour < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
constexpr std::string_view kPruneDays =
    "DELETE FROM view_days WHERE (kind, item_id, day) IN "
    "(SELECT kind, item_id, day FROM view_days WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

std::vector<WrittenItem> write_all(Connection& connection, const PostgresViewTables& tables, const std::vector<CountedItem>& counted,
                                   UtcMicros at) {
  std::vector<ViewedItem> items;
  std::vector<ItemHour> hours;
  for (const auto& each : counted) {
    items.push_back(each.item);
    for (const auto& hour : each.hours) hours.push_back({&each.item, hour});
  }
  auto totals = lock_totals(connection, tables, items);
  std::vector<WrittenItem> written;
  for (std::size_t i = 0; i < counted.size(); ++i) {
    auto views = total_with(counted[i], totals[i].views, totals[i].direct);
    written.push_back({.views = views, .direct = totals[i].direct, .added = views - totals[i].views});
    totals[i].views = views;
  }
  write_totals(connection, tables, items, totals, at);
  write_hours(connection, hours);
  return written;
}

}  // namespace

PostgresViewLedger::PostgresViewLedger(postgres::Database& database, PostgresViewTables tables)
    : database_(database), tables_(std::move(tables)), totals_sql_(fmt::format(kTotals, tables_.largest())) {}

Task<Result<std::vector<SqlTotal>>> PostgresViewLedger::totals(std::vector<ViewedItem> items) {
  co_return co_await database_.read([this, items = std::move(items)](Connection& connection) -> Result<std::vector<SqlTotal>> {
    ItemNames names(items);
    std::vector<SqlTotal> totals;
    auto rows = connection.query(totals_sql_, names.kinds, names.ids);
    while (rows.next()) {
      SqlTotal total{static_cast<std::uint64_t>(rows.integer(0)), static_cast<std::uint64_t>(rows.integer(1))};
      if (!rows.is_null(2)) total.synced_at = rows.time(2);
      totals.push_back(total);
    }
    return totals;
  });
}

Task<Result<std::vector<WrittenItem>>> PostgresViewLedger::write(std::vector<CountedItem> items, UtcMicros at) {
  HEARTH_ASSERT(items.size() <= kItemsPerWriteMax);
  if (items.empty()) co_return std::vector<WrittenItem>();
  co_return co_await database_.write([this, items = std::move(items), at](Connection& connection) -> Result<std::vector<WrittenItem>> {
    return write_all(connection, tables_, items, at);
  });
}

Task<Result<std::vector<HourViews>>> PostgresViewLedger::hours(ViewedItem item, UtcHour since) {
  co_return co_await database_.read([item = std::move(item), since](Connection& connection) -> Result<std::vector<HourViews>> {
    return hours_in(connection.query(kHours, name_of(item.kind), item.id.view(), UtcMicros(since)));
  });
}

Task<Result<std::vector<HourViews>>> PostgresViewLedger::days(ViewedItem item, UtcHour since) {
  co_return co_await database_.read([item = std::move(item), since](Connection& connection) -> Result<std::vector<HourViews>> {
    return hours_in(connection.query(kDays, name_of(item.kind), item.id.view(), UtcMicros(since)));
  });
}

Task<Result<bool>> PostgresViewLedger::prune(UtcMicros now) {
  co_return co_await database_.write([now](Connection& connection) -> Result<bool> {
    auto hours = connection.run(kPruneHours, now - kHoursKept, kPrunedMax);
    auto days = connection.run(kPruneDays, now - kDaysKept, kPrunedMax);
    return hours == kPrunedMax || days == kPrunedMax;
  });
}

}  // namespace hearth::views
