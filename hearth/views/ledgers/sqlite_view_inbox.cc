#include "hearth/views/ledgers/sqlite_view_inbox.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/views/ledgers/counted_totals.h"
#include "hearth/views/ledgers/sqlite_view_rows.h"

namespace hearth::views {
namespace {

using sqlite::Connection;

// ?3 and ?4 are the viewer under both keys; ?5 and ?6 the ends of the window, which are not in it.
constexpr char kIsKnown[] =
    "SELECT 1 FROM view_inbox WHERE kind = ?1 AND item_id = ?2 AND viewer IN (?3, ?4) AND at > ?5 AND at < ?6 LIMIT 1";
constexpr char kRemember[] = "INSERT INTO view_inbox (kind, item_id, viewer, previous, at, is_counted) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr char kAddWaiting[] =
    "INSERT INTO view_waiting (kind, item_id, hour, views) VALUES (?1, ?2, ?3, 1) "
    "ON CONFLICT (kind, item_id, hour) DO UPDATE SET views = views + 1";
constexpr char kCountWaiting[] = "SELECT coalesce(sum(views), 0) FROM view_waiting WHERE kind = ?1 AND item_id = ?2";
constexpr char kViewsOfHour[] = "SELECT views FROM view_hours WHERE kind = ?1 AND item_id = ?2 AND hour = ?3";

constexpr char kHours[] =
    "SELECT hour, sum(views) FROM (SELECT hour, views FROM view_hours WHERE kind = ?1 AND item_id = ?2 AND hour >= ?3 "
    "UNION ALL SELECT hour, views FROM view_waiting WHERE kind = ?1 AND item_id = ?2 AND hour >= ?3) "
    "GROUP BY hour HAVING sum(views) > 0 ORDER BY hour";
// Of an hour the most viewed stories, and those of which views wait; and what waits.
constexpr char kViewedInHour[] =
    "SELECT item_id, views FROM (SELECT item_id, views FROM view_hours WHERE hour = ?1 AND kind = 'story' ORDER BY views DESC LIMIT ?2) "
    "UNION SELECT h.item_id, h.views FROM view_waiting w JOIN view_hours h ON h.kind = w.kind AND h.item_id = w.item_id "
    "AND h.hour = w.hour WHERE w.hour = ?1 AND w.kind = 'story'";
constexpr char kWaitingInHour[] = "SELECT item_id, views FROM view_waiting WHERE hour = ?1 AND kind = 'story'";

constexpr char kWaiting[] = "SELECT id, kind, item_id, viewer, at, is_counted, previous FROM view_inbox ORDER BY id LIMIT ?1";
constexpr char kFindRow[] = "SELECT kind, item_id, at FROM view_inbox WHERE id = ?1 AND NOT is_counted";
constexpr char kDropRow[] = "DELETE FROM view_inbox WHERE id = ?1";
constexpr char kTakeWaiting[] = "UPDATE view_waiting SET views = views - 1 WHERE kind = ?1 AND item_id = ?2 AND hour = ?3";
constexpr char kDropEmptyHour[] = "DELETE FROM view_waiting WHERE kind = ?1 AND item_id = ?2 AND hour = ?3 AND views <= 0";
constexpr char kPrune[] =
    "DELETE FROM view_inbox WHERE id IN (SELECT id FROM view_inbox WHERE is_counted AND at <= ?1 ORDER BY at LIMIT ?2)";

constexpr std::chrono::hours kTrendingHours{26};  // that there may be since the first one asked

ViewTotal read_view_total(Connection& connection, const ViewedItem& item) {
  auto sql = read_total(connection, item);
  auto& row = connection.statement(kCountWaiting).query(name_of(item.kind), item.id.view());
  row.next();
  auto buffered = static_cast<std::uint64_t>(row.integer(0));
  row.reset();
  return {.views = sql.views + buffered, .buffered = buffered, .synced_at = sql.synced_at};
}

bool is_known(Connection& connection, const View& view, UtcMicros at, std::chrono::hours window) {
  auto& row = connection.statement(kIsKnown).query(name_of(view.item.kind), view.item.id.view(), view.viewer,
                                                   view.previous.value_or(view.viewer), micros(at - window), micros(at + window));
  bool known = row.next();
  row.reset();
  return known;
}

void count(Connection& connection, const ViewedItem& item, UtcMicros at) {
  auto total = read_total(connection, item);
  write_total(connection, item, total.views + 1, total.direct + 1, at);
  auto hour = hour_of(at);
  auto& row = connection.statement(kViewsOfHour).query(name_of(item.kind), item.id.view(), micros(hour));
  auto before = row.next() ? static_cast<std::uint64_t>(row.integer(0)) : 0;
  row.reset();
  write_hours(connection, item, {{hour, before + 1}});
}

// False: the viewer is known.
bool remember(Connection& connection, const View& view, UtcMicros at, std::chrono::hours window, InboxMode mode) {
  if (is_known(connection, view, at, window)) return false;
  auto kind = name_of(view.item.kind);
  auto id = view.item.id.view();
  bool waits = view.counts && mode == InboxMode::kWaiting;
  connection.statement(kRemember).run(kind, id, view.viewer, view.previous, micros(at), !waits);
  if (waits) connection.statement(kAddWaiting).run(kind, id, micros(hour_of(at)));
  if (view.counts && !waits) count(connection, view.item, at);
  return true;
}

void take_waiting(Connection& connection, std::uint64_t id) {
  auto& row = connection.statement(kFindRow).query(id);
  if (!row.next()) return;
  auto [kind, item, hour] = std::tuple(row.string(0), row.string(1), micros(hour_of(time_of(row.integer(2)))));
  row.reset();
  connection.statement(kTakeWaiting).run(kind, item, hour);
  connection.statement(kDropEmptyHour).run(kind, item, hour);
}

ViewedKind kind_of(std::string_view name) {
  return name == name_of(ViewedKind::kStory) ? ViewedKind::kStory : ViewedKind::kChapter;
}

std::vector<ItemViews> most_viewed(const std::unordered_map<std::string, std::uint64_t>& views, std::size_t limit) {
  std::vector<ItemViews> most;
  most.reserve(views.size());
  for (const auto& [id, number] : views) most.push_back({ViewedId::trusted(id), number});
  auto is_before = [](const ItemViews& a, const ItemViews& b) { return std::tie(b.views, a.id) < std::tie(a.views, b.id); };
  auto kept = static_cast<std::ptrdiff_t>(std::min(limit, most.size()));
  std::ranges::partial_sort(most, most.begin() + kept, is_before);
  most.erase(most.begin() + kept, most.end());
  return most;
}

}  // namespace

Task<Result<ViewOutcome>> SqliteViewInbox::view(View view) {
  auto at = view.at.value_or(clock_.now());
  co_return co_await database_.write([this, view = std::move(view), at](Connection& connection) -> Result<ViewOutcome> {
    bool is_first = remember(connection, view, at, window_, mode_);
    return ViewOutcome{.is_first = is_first, .views = read_view_total(connection, view.item).views};
  });
}

Task<Result<std::vector<ViewTotal>>> SqliteViewInbox::totals(std::vector<ViewedItem> items) {
  HEARTH_ASSERT(items.size() <= kItemsPerReadMax);
  co_return co_await database_.read([items = std::move(items)](Connection& connection) -> Result<std::vector<ViewTotal>> {
    std::vector<ViewTotal> totals;
    totals.reserve(items.size());
    for (const auto& item : items) totals.push_back(read_view_total(connection, item));
    return totals;
  });
}

Task<Result<std::vector<HourViews>>> SqliteViewInbox::hours(ViewedItem item, UtcHour since) {
  co_return co_await database_.read([item = std::move(item), since](Connection& connection) -> Result<std::vector<HourViews>> {
    return hours_in(connection.statement(kHours).query(name_of(item.kind), item.id.view(), micros(since)));
  });
}

Task<Result<std::vector<ItemViews>>> SqliteViewInbox::trending(UtcHour since, std::size_t limit) {
  HEARTH_ASSERT(limit <= kTrendingMax);
  co_return co_await database_.read([since, limit](Connection& connection) -> Result<std::vector<ItemViews>> {
    std::unordered_map<std::string, std::uint64_t> views;
    auto add = [&](sqlite::Statement& rows) {
      while (rows.next()) views[rows.string(0)] += static_cast<std::uint64_t>(rows.integer(1));
    };
    for (auto hour = since; hour <= since + kTrendingHours; hour += std::chrono::hours(1)) {
      add(connection.statement(kViewedInHour).query(micros(hour), kConsideredOfHour));
      add(connection.statement(kWaitingInHour).query(micros(hour)));
    }
    return most_viewed(views, limit);
  });
}

Result<std::vector<WaitingView>> SqliteViewInbox::waiting(std::size_t limit) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::vector<WaitingView>> {
    std::vector<WaitingView> views;
    auto& rows = connection.statement(kWaiting).query(limit);
    while (rows.next()) {
      views.push_back({.id = static_cast<std::uint64_t>(rows.integer(0)),
                       .view = {.item = {kind_of(rows.text(1)), ViewedId::trusted(rows.string(2))},
                                .viewer = static_cast<Viewer>(rows.integer(3)),
                                .previous = rows.is_null(6) ? std::nullopt : std::optional(static_cast<Viewer>(rows.integer(6))),
                                .counts = !rows.boolean(5),
                                .at = time_of(rows.integer(4))}});
    }
    return views;
  });
}

Result<void> SqliteViewInbox::remove(const std::vector<std::uint64_t>& ids) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    for (auto id : ids) {
      take_waiting(connection, id);
      connection.statement(kDropRow).run(id);
    }
    return {};
  });
}

Result<bool> SqliteViewInbox::prune(UtcMicros now) {
  return database_.write_blocking([&](Connection& connection) -> Result<bool> {
    return connection.statement(kPrune).run(micros(now - window_), kPrunedMax) == static_cast<int>(kPrunedMax);
  });
}

}  // namespace hearth::views
