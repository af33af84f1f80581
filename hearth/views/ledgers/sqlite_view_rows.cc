#include "hearth/views/ledgers/sqlite_view_rows.h"

#include <algorithm>
#include <set>

namespace hearth::views {
namespace {

using sqlite::Connection;

constexpr char kReadCount[] = "SELECT views, direct, synced_at FROM view_counts WHERE kind = ?1 AND item_id = ?2";
constexpr char kSetCount[] =
    "INSERT INTO view_counts (kind, item_id, views, direct, synced_at) VALUES (?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT (kind, item_id) DO UPDATE SET views = excluded.views, direct = excluded.direct, "
    "synced_at = max(coalesce(synced_at, 0), excluded.synced_at)";
constexpr char kReadStory[] = "SELECT read_count FROM stories WHERE id = ?1";
constexpr char kReadChapter[] = "SELECT read_count FROM chapters WHERE id = ?1";
constexpr char kSetStory[] = "UPDATE stories SET read_count = ?2 WHERE id = ?1 AND read_count <> ?2";
constexpr char kSetChapter[] = "UPDATE chapters SET read_count = ?2 WHERE id = ?1 AND read_count <> ?2";
constexpr char kAddHour[] =
    "INSERT INTO view_hours (kind, item_id, hour, views) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT (kind, item_id, hour) DO UPDATE SET views = excluded.views WHERE views < excluded.views";
constexpr char kAddDay[] =
    "INSERT INTO view_days (kind, item_id, day, views) SELECT ?1, ?2, ?3, sum(views) FROM view_hours "
    "WHERE kind = ?1 AND item_id = ?2 AND hour >= ?3 AND hour < ?4 HAVING count(*) > 0 "
    "ON CONFLICT (kind, item_id, day) DO UPDATE SET views = excluded.views WHERE views < excluded.views";

}  // namespace

SqlTotal read_total(Connection& connection, const ViewedItem& item) {
  SqlTotal total;
  auto& row = connection.statement(kReadCount).query(name_of(item.kind), item.id.view());
  if (row.next()) {
    total.views = static_cast<std::uint64_t>(row.integer(0));
    total.direct = static_cast<std::uint64_t>(row.integer(1));
    if (!row.is_null(2)) total.synced_at = time_of(row.integer(2));
  }
  row.reset();
  auto& content = connection.statement(item.kind == ViewedKind::kStory ? kReadStory : kReadChapter).query(item.id.view());
  if (content.next()) total.views = std::max(total.views, static_cast<std::uint64_t>(std::max<std::int64_t>(content.integer(0), 0)));
  content.reset();
  return total;
}

void write_total(Connection& connection, const ViewedItem& item, std::uint64_t views, std::uint64_t direct, UtcMicros at) {
  connection.statement(kSetCount).run(name_of(item.kind), item.id.view(), views, direct, micros(at));
  connection.statement(item.kind == ViewedKind::kStory ? kSetStory : kSetChapter).run(item.id.view(), views);
}

void write_hours(Connection& connection, const ViewedItem& item, const std::vector<HourViews>& hours) {
  std::set<std::chrono::sys_days> days;
  for (const auto& [hour, views] : hours) {
    if (views == 0) continue;
    connection.statement(kAddHour).run(name_of(item.kind), item.id.view(), micros(hour), views);
    days.insert(std::chrono::floor<std::chrono::days>(hour));
  }
  for (auto day : days) {
    connection.statement(kAddDay).run(name_of(item.kind), item.id.view(), micros(day), micros(day + std::chrono::days(1)));
  }
}

std::vector<HourViews> hours_in(sqlite::Statement& rows) {
  std::vector<HourViews> hours;
  while (rows.next()) hours.push_back({hour_of(time_of(rows.integer(0))), static_cast<std::uint64_t>(rows.integer(1))});
  return hours;
}

}  // namespace hearth::views
