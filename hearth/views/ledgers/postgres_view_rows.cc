#include "hearth/views/ledgers/postgres_view_rows.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hearth::views {
namespace {

using postgres::Connection;

// Rows that are not there first, then all, both by the bytes of their names: who does it otherwise could hold a row that the
// other waits for.
constexpr std::string_view kAddCounts =
    "INSERT INTO view_counts (kind, item_id) SELECT kind, id FROM unnest($1, $2) AS wanted (kind, id) "
    "ORDER BY kind COLLATE \"C\", id COLLATE \"C\" ON CONFLICT DO NOTHING";
constexpr std::string_view kLockCounts =
    "SELECT c.kind, c.item_id, c.views, c.direct FROM view_counts AS c "
    "JOIN unnest($1, $2) AS wanted (kind, id) ON c.kind = wanted.kind AND c.item_id = wanted.id "
    "ORDER BY c.kind, c.item_id FOR UPDATE OF c";

constexpr std::string_view kSetCounts =
    "UPDATE view_counts AS c SET views = made.views, direct = made.direct, synced_at = greatest(c.synced_at, $5) "
    "FROM unnest($1, $2, $3, $4) AS made (kind, id, views, direct) WHERE c.kind = made.kind AND c.item_id = made.id";

constexpr std::string_view kAddHours =
    "INSERT INTO view_hours AS h (kind, item_id, hour, views) SELECT kind, id, hour, max(views) "
    "FROM unnest($1, $2, $3, $4) AS made (kind, id, hour, views) WHERE views > 0 GROUP BY kind, id, hour "
    "ON CONFLICT (kind, item_id, hour) DO UPDATE SET views = excluded.views WHERE h.views < excluded.views";
// Of the days that begin at $3. Not '1 day': that would be as long as the day of the session's time zone.
constexpr std::string_view kAddDays =
    "INSERT INTO view_days AS d (kind, item_id, day, views) SELECT h.kind, h.item_id, made.day, sum(h.views)::bigint "
    "FROM (SELECT DISTINCT kind, id, day FROM unnest($1, $2, $3) AS all_made (kind, id, day)) AS made "
    "JOIN view_hours AS h ON h.kind = made.kind AND h.item_id = made.id AND h.hour >= made.day "
    "AND h.hour < made.day + interval '24 hours' GROUP BY h.kind, h.item_id, made.day "
    "ON CONFLICT (kind, item_id, day) DO UPDATE SET views = excluded.views WHERE d.views < excluded.views";

// Locks content of the kind and raises the totals to what it says.
void lock_content(Connection& connection, const PostgresViewTables::Table& table, const std::vector<ViewedItem>& items,
                  std::vector<LockedTotal>& totals) {
  std::map<std::string_view, LockedTotal*> wanted;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].kind == table.kind) wanted.emplace(items[i].id.view(), &totals[i]);
  }
  if (wanted.empty()) return;
  std::vector<std::string_view> ids;
  for (const auto& [id, total] : wanted) ids.push_back(id);
  auto rows = connection.query(table.lock, ids);
  while (rows.next()) {
    auto found = wanted.find(rows.text(0));
    if (found == wanted.end()) continue;  // the column's equality is wider than that of ids
    auto& views = found->second->views;
    views = std::max(views, static_cast<std::uint64_t>(std::max<std::int64_t>(rows.integer(1), 0)));
  }
}

void set_content(Connection& connection, const PostgresViewTables::Table& table, const std::vector<ViewedItem>& items,
                 const std::vector<LockedTotal>& totals) {
  std::vector<std::string_view> ids;
  std::vector<std::int64_t> views;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].kind != table.kind) continue;
    ids.push_back(items[i].id.view());
    views.push_back(static_cast<std::int64_t>(totals[i].views));
  }
  if (!ids.empty()) connection.run(table.set, ids, views);
}

}  // namespace

ItemNames::ItemNames(const std::vector<ViewedItem>& items) {
  kinds.reserve(items.size());
  ids.reserve(items.size());
  for (const auto& item : items) {
    kinds.push_back(name_of(item.kind));
    ids.push_back(item.id.view());
  }
}

std::vector<LockedTotal> lock_totals(Connection& connection, const PostgresViewTables& tables, const std::vector<ViewedItem>& items) {
  ItemNames names(items);
  connection.run(kAddCounts, names.kinds, names.ids);
  std::map<std::pair<std::string_view, std::string_view>, LockedTotal> locked;
  auto rows = connection.query(kLockCounts, names.kinds, names.ids);
  while (rows.next()) {
    locked.emplace(std::pair(rows.text(0), rows.text(1)),
                   LockedTotal{static_cast<std::uint64_t>(rows.integer(2)), static_cast<std::uint64_t>(rows.integer(3))});
  }
  std::vector<LockedTotal> totals;
  totals.reserve(items.size());
  for (const auto& item : items) totals.push_back(locked.at({name_of(item.kind), item.id.view()}));
  for (const auto& table : tables.all()) lock_content(connection, table, items, totals);
  return totals;
}

void write_totals(Connection& connection, const PostgresViewTables& tables, const std::vector<ViewedItem>& items,
                  const std::vector<LockedTotal>& totals, UtcMicros at) {
  ItemNames names(items);
  std::vector<std::int64_t> views;
  std::vector<std::int64_t> direct;
  for (const auto& total : totals) {
    views.push_back(static_cast<std::int64_t>(total.views));
    direct.push_back(static_cast<std::int64_t>(total.direct));
  }
  connection.run(kSetCounts, names.kinds, names.ids, views, direct, at);
  for (const auto& table : tables.all()) set_content(connection, table, items, totals);
}

void write_hours(Connection& connection, const std::vector<ItemHour>& hours) {
  if (hours.empty()) return;
  std::vector<std::string_view> kinds;
  std::vector<std::string_view> ids;
  std::vector<UtcMicros> times;
  std::vector<UtcMicros> days;
  std::vector<std::int64_t> views;
  for (const auto& [item, hour] : hours) {
    kinds.push_back(name_of(item->kind));
    ids.push_back(item->id.view());
    times.push_back(hour.hour);
    days.push_back(std::chrono::floor<std::chrono::days>(hour.hour));
    views.push_back(static_cast<std::int64_t>(hour.views));
  }
  connection.run(kAddHours, kinds, ids, times, views);
  connection.run(kAddDays, kinds, ids, days);
}

std::vector<HourViews> hours_in(postgres::Rows rows) {
  std::vector<HourViews> hours;
  while (rows.next()) hours.push_back({hour_of(rows.time(0)), static_cast<std::uint64_t>(rows.integer(1))});
  return hours;
}

}  // namespace hearth::views
