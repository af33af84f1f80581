#include "hearth/views/ledgers/postgres_view_inbox.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/views/ledgers/counted_totals.h"
#include "hearth/views/ledgers/postgres_view_rows.h"

namespace hearth::views {
namespace {

using postgres::Connection;

// $3 and $4 are the viewer under both keys; $5 and $6 the ends of the window, which are not in it.
constexpr std::string_view kIsKnown =
    "SELECT EXISTS (SELECT FROM view_inbox WHERE kind = $1 AND item_id = $2 AND viewer IN ($3, $4) AND at > $5 AND at < $6)";
constexpr std::string_view kRemember =
    "INSERT INTO view_inbox (kind, item_id, viewer, previous, at, is_counted) VALUES ($1, $2, $3, $4, $5, $6)";
constexpr std::string_view kAddWaiting =
    "INSERT INTO view_waiting AS w (kind, item_id, hour, views) VALUES ($1, $2, $3, 1) "
    "ON CONFLICT (kind, item_id, hour) DO UPDATE SET views = w.views + 1";
constexpr std::string_view kViewsOfHour = "SELECT views FROM view_hours WHERE kind = $1 AND item_id = $2 AND hour = $3";

// {}: the largest number of content.
constexpr char kTotals[] =
    "SELECT greatest(c.views, {}), (SELECT coalesce(sum(w.views), 0)::bigint FROM view_waiting AS w "
    "WHERE w.kind = wanted.kind AND w.item_id = wanted.id), c.synced_at "
    "FROM unnest($1, $2) WITH ORDINALITY AS wanted (kind, id, place) "
    "LEFT JOIN view_counts AS c ON c.kind = wanted.kind AND c.item_id = wanted.id ORDER BY place";
constexpr std::string_view kHours =
    "SELECT hour, sum(views)::bigint FROM (SELECT hour, views FROM view_hours WHERE kind = $1 AND item_id = $2 AND hour >= $3 "
    "UNION ALL SELECT hour, views FROM view_waiting WHERE kind = $1 AND item_id = $2 AND hour >= $3) AS known "
    "GROUP BY hour HAVING sum(views) > 0 ORDER BY hour";
// Of each hour the most viewed stories, and all of which views wait.
constexpr std::string_view kTrending =
    "SELECT item_id, sum(views)::bigint AS views FROM generate_series($1::timestamptz, $1::timestamptz + interval '26 hours', "
    "interval '1 hour') AS hours (hour) CROSS JOIN LATERAL (((SELECT h.item_id, h.views FROM view_hours AS h "
    "WHERE h.hour = hours.hour AND h.kind = 'story' ORDER BY h.views DESC LIMIT $3) "
    "UNION (SELECT h.item_id, h.views FROM view_waiting AS w JOIN view_hours AS h ON h.kind = w.kind AND h.item_id = w.item_id "
    "AND h.hour = w.hour WHERE w.hour = hours.hour AND w.kind = 'story')) "
    "UNION ALL (SELECT w.item_id, w.views FROM view_waiting AS w WHERE w.hour = hours.hour AND w.kind = 'story')) AS viewed "
    "GROUP BY item_id ORDER BY views DESC, item_id LIMIT $2";

constexpr std::string_view kWaiting = "SELECT id, kind, item_id, viewer, at, is_counted, previous FROM view_inbox ORDER BY id LIMIT $1";
// Who removes locks in one order: rows, then their hours.
constexpr std::string_view kLockRows = "SELECT FROM view_inbox WHERE id = ANY($1) ORDER BY id FOR UPDATE";
constexpr std::string_view kLockHours =
    "SELECT FROM view_waiting AS w JOIN (SELECT DISTINCT kind, item_id, date_trunc('hour', at, 'UTC') AS hour FROM view_inbox "
    "WHERE id = ANY($1) AND NOT is_counted) AS i ON w.kind = i.kind AND w.item_id = i.item_id AND w.hour = i.hour "
    "ORDER BY w.kind, w.item_id, w.hour FOR UPDATE OF w";
constexpr std::string_view kRemove =
    "WITH gone AS (DELETE FROM view_inbox WHERE id = ANY($1) RETURNING kind, item_id, at, is_counted), "
    "fewer AS (SELECT kind, item_id, date_trunc('hour', at, 'UTC') AS hour, count(*) AS views FROM gone WHERE NOT is_counted "
    "GROUP BY 1, 2, 3), "
    "emptied AS (DELETE FROM view_waiting AS w USING fewer "
    "WHERE w.kind = fewer.kind AND w.item_id = fewer.item_id AND w.hour = fewer.hour AND w.views <= fewer.views) "
    "UPDATE view_waiting AS w SET views = w.views - fewer.views FROM fewer "
    "WHERE w.kind = fewer.kind AND w.item_id = fewer.item_id AND w.hour = fewer.hour AND w.views > fewer.views";
// What another node prunes is left to it.
constexpr std::string_view kPrune =
    "DELETE FROM view_inbox WHERE id IN "
    "(SELECT id FROM view_inbox WHERE is_counted AND at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)";

std::int64_t stored(Viewer viewer) {
  return static_cast<std::int64_t>(viewer);
}

// One view, in the transaction of its connection.
class Viewing {
 public:
  Viewing(Connection& connection, const PostgresViewTables& tables, const std::string& totals_sql, const View& view, UtcMicros at,
          std::chrono::hours window)
      : connection_(connection),
        tables_(tables),
        totals_sql_(totals_sql),
        view_(view),
        item_{view.item},
        names_(item_),
        at_(at),
        window_(window) {}

  ViewOutcome run(InboxMode mode) {
    if (is_known()) return {.is_first = false, .views = views()};
    auto totals = lock_totals(connection_, tables_, item_);
    if (is_known()) return {.is_first = false, .views = views()};
    bool waits = view_.counts && mode == InboxMode::kWaiting;
    connection_.run(kRemember, kind(), id(), stored(view_.viewer), view_.previous.transform(stored), at_, !waits);
    if (waits) connection_.run(kAddWaiting, kind(), id(), UtcMicros(hour_of(at_)));
    if (view_.counts && !waits) count(std::move(totals));
    return {.is_first = true, .views = views()};
  }

 private:
  std::string_view kind() const { return names_.kinds.front(); }
  std::string_view id() const { return names_.ids.front(); }
  bool is_known() {
    auto previous = view_.previous.value_or(view_.viewer);
    return connection_.query(kIsKnown, kind(), id(), stored(view_.viewer), stored(previous), at_ - window_, at_ + window_)
        .first()
        .boolean(0);
  }
  std::uint64_t views() {
    auto row = connection_.query(totals_sql_, names_.kinds, names_.ids);
    row.first();
    return static_cast<std::uint64_t>(row.integer(0) + row.integer(1));
  }
  void count(std::vector<LockedTotal> totals) {
    ++totals.front().views;
    ++totals.front().direct;
    write_totals(connection_, tables_, item_, totals, at_);
    auto hour = hour_of(at_);
    auto row = connection_.query(kViewsOfHour, kind(), id(), UtcMicros(hour));
    auto before = row.next() ? static_cast<std::uint64_t>(row.integer(0)) : 0;
    write_hours(connection_, {{.item = &item_.front(), .hour = {hour, before + 1}}});
  }

  Connection& connection_;
  const PostgresViewTables& tables_;
  const std::string& totals_sql_;
  const View& view_;
  const std::vector<ViewedItem> item_;
  const ItemNames names_;
  const UtcMicros at_;
  const std::chrono::hours window_;
};

ViewedKind kind_of(std::string_view name) {
  return name == name_of(ViewedKind::kStory) ? ViewedKind::kStory : ViewedKind::kChapter;
}

}  // namespace

PostgresViewInbox::PostgresViewInbox(postgres::Database& database, InboxMode mode, std::chrono::hours window, const Clock& clock,
                                     PostgresViewTables tables)
    : database_(database),
      mode_(mode),
      window_(window),
      clock_(clock),
      tables_(std::move(tables)),
      totals_sql_(fmt::format(kTotals, tables_.largest())) {}

Task<Result<ViewOutcome>> PostgresViewInbox::view(View view) {
  auto at = view.at.value_or(clock_.now());
  co_return co_await database_.write([this, view = std::move(view), at](Connection& connection) -> Result<ViewOutcome> {
    return Viewing(connection, tables_, totals_sql_, view, at, window_).run(mode_);
  });
}

Task<Result<std::vector<ViewTotal>>> PostgresViewInbox::totals(std::vector<ViewedItem> items) {
  HEARTH_ASSERT(items.size() <= kItemsPerReadMax);
  co_return co_await database_.read([this, items = std::move(items)](Connection& connection) -> Result<std::vector<ViewTotal>> {
    ItemNames names(items);
    std::vector<ViewTotal> totals;
    auto rows = connection.query(totals_sql_, names.kinds, names.ids);
    while (rows.next()) {
      auto buffered = static_cast<std::uint64_t>(rows.integer(1));
      ViewTotal total{.views = static_cast<std::uint64_t>(rows.integer(0)) + buffered, .buffered = buffered};
      if (!rows.is_null(2)) total.synced_at = rows.time(2);
      totals.push_back(total);
    }
    return totals;
  });
}

Task<Result<std::vector<HourViews>>> PostgresViewInbox::hours(ViewedItem item, UtcHour since) {
  co_return co_await database_.read([item = std::move(item), since](Connection& connection) -> Result<std::vector<HourViews>> {
    return hours_in(connection.query(kHours, name_of(item.kind), item.id.view(), UtcMicros(since)));
  });
}

Task<Result<std::vector<ItemViews>>> PostgresViewInbox::trending(UtcHour since, std::size_t limit) {
  HEARTH_ASSERT(limit <= kTrendingMax);
  co_return co_await database_.read([since, limit](Connection& connection) -> Result<std::vector<ItemViews>> {
    std::vector<ItemViews> stories;
    auto rows = connection.query(kTrending, UtcMicros(since), limit, kConsideredOfHour);
    while (rows.next()) stories.push_back({ViewedId::trusted(rows.string(0)), static_cast<std::uint64_t>(rows.integer(1))});
    return stories;
  });
}

Result<std::vector<WaitingView>> PostgresViewInbox::waiting(std::size_t limit) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::vector<WaitingView>> {
    std::vector<WaitingView> views;
    auto rows = connection.query(kWaiting, limit);
    while (rows.next()) {
      views.push_back({.id = static_cast<std::uint64_t>(rows.integer(0)),
                       .view = {.item = {kind_of(rows.text(1)), ViewedId::trusted(rows.string(2))},
                                .viewer = static_cast<Viewer>(rows.integer(3)),
                                .previous = rows.is_null(6) ? std::nullopt : std::optional(static_cast<Viewer>(rows.integer(6))),
                                .counts = !rows.boolean(5),
                                .at = rows.time(4)}});
    }
    return views;
  });
}

Result<void> PostgresViewInbox::remove(const std::vector<std::uint64_t>& ids) {
  const std::vector<std::int64_t> stored_ids(ids.begin(), ids.end());
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    connection.query(kLockRows, stored_ids);
    connection.query(kLockHours, stored_ids);
    connection.run(kRemove, stored_ids);
    return {};
  });
}

Result<bool> PostgresViewInbox::prune(UtcMicros now) {
  return database_.write_blocking(
      [&](Connection& connection) -> Result<bool> { return connection.run(kPrune, now - window_, kPrunedMax) == kPrunedMax; });
}

}  // namespace hearth::views
