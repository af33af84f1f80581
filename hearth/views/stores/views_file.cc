#include "hearth/views/stores/views_file.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <map>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include "hearth/base/hash.h"

namespace hearth::sqlite {
extern const std::span<const std::string_view> kViewsMigrations;
}

namespace hearth::views {
namespace {

using outbox::Viewed;
using outbox::ViewStep;
using sqlite::Connection;

constexpr int kWriterCacheKib = 64 * 1024;
constexpr std::size_t kEntryBytes = sizeof(std::uint64_t) + sizeof(std::uint32_t);
constexpr std::size_t kBlobBytesMax = 1u << 20;  // of entries in one row
constexpr int kBlobsDroppedMax = 16;             // by one flush, so that none takes long
constexpr int kHoursDroppedMax = 5'000;          // by one call

constexpr char kGetCursor[] = "SELECT sequence, checksum FROM view_cursor";
constexpr char kSetCursor[] = "UPDATE view_cursor SET sequence = ?1, checksum = ?2";
// An item stays marked since it was first; ?8 says that SQL got its number within this batch, and that the mark is from after.
constexpr char kSetItem[] =
    "INSERT INTO viewed_items (kind, item_id, views, buffered, direct, marked_at, synced_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
    "ON CONFLICT (kind, item_id) DO UPDATE SET views = excluded.views, buffered = excluded.buffered, direct = excluded.direct, "
    "marked_at = CASE WHEN excluded.buffered = 0 OR ?8 THEN excluded.marked_at ELSE coalesce(marked_at, excluded.marked_at) END, "
    "synced_at = coalesce(excluded.synced_at, synced_at) RETURNING id";
constexpr char kAddToHour[] =
    "INSERT INTO view_hours (hour, item, kind, views) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT (hour, item) DO UPDATE SET views = views + excluded.views";
constexpr char kAddSeen[] = "INSERT INTO seen_viewers (began_at, ends_at, entries) VALUES (?1, ?2, ?3)";
constexpr char kDropSeen[] = "DELETE FROM seen_viewers WHERE id IN (SELECT id FROM seen_viewers WHERE ends_at <= ?1 LIMIT ?2)";
constexpr char kGetSeen[] = "SELECT began_at, entries FROM seen_viewers WHERE ends_at > ?1";
constexpr char kCountSeen[] = "SELECT coalesce(sum(length(entries)), 0) FROM seen_viewers WHERE began_at >= ?1 AND began_at < ?2";
constexpr char kDropHours[] =
    "DELETE FROM view_hours WHERE (hour, item) IN "
    "(SELECT hour, item FROM view_hours WHERE hour < ?1 AND views = in_sql ORDER BY hour LIMIT ?2)";
constexpr char kGetItem[] = "SELECT views, buffered, direct, synced_at FROM viewed_items WHERE kind = ?1 AND item_id = ?2";
constexpr char kGetHours[] =
    "SELECT hour, views FROM view_hours WHERE item = (SELECT id FROM viewed_items WHERE kind = ?1 AND item_id = ?2) AND hour >= ?3 "
    "ORDER BY hour";
constexpr char kGetTrending[] =
    "SELECT item_id, total FROM (SELECT item, sum(views) AS total FROM view_hours WHERE hour >= ?1 AND kind = 0 "
    "GROUP BY item ORDER BY total DESC, item LIMIT ?2) JOIN viewed_items ON id = item ORDER BY total DESC, item";
constexpr char kGetMarked[] = "SELECT id, kind, item_id, views, direct FROM viewed_items WHERE marked_at <= ?1 ORDER BY marked_at LIMIT ?2";
constexpr char kGetChangedHours[] = "SELECT hour, views FROM view_hours WHERE item = ?1 AND views > in_sql ORDER BY hour";
constexpr char kGetStats[] = "SELECT kind, count(*), sum(buffered) FROM viewed_items WHERE marked_at IS NOT NULL GROUP BY kind";
constexpr char kHourIsInSql[] =
    "UPDATE view_hours SET in_sql = max(in_sql, ?4) "
    "WHERE hour = ?3 AND item = (SELECT id FROM viewed_items WHERE kind = ?1 AND item_id = ?2)";

std::int64_t number_of(UtcHour hour) {
  return hour.time_since_epoch().count();
}
std::int64_t number_of(UtcMicros at) {
  return at.time_since_epoch().count();
}
std::int64_t number_of(UtcMillis at) {
  return at.time_since_epoch().count();
}

HourViews read_hour(const sqlite::Statement& row) {
  return {UtcHour(std::chrono::hours(row.integer(0))), static_cast<std::uint64_t>(row.integer(1))};
}

// What a batch makes of one item.
struct ItemChange {
  ItemNumbers numbers;
  std::optional<UtcMicros> marked_at;
  bool is_mark_new = false;  // SQL got its number within the batch
  std::map<UtcHour, std::uint64_t> hours;

  void apply(const Viewed& event) {
    numbers.views = event.views;
    numbers.buffered = event.buffered;
    numbers.direct = event.direct;
    if (event.step == ViewStep::kCounted) ++hours[hour_of(event.at)];
    if (event.step == ViewStep::kWritten) {
      numbers.synced_at = event.at;
      is_mark_new = true;
      marked_at.reset();
    }
    if (event.buffered == 0) {
      marked_at.reset();
    } else if (!marked_at) {
      marked_at = event.recorded_at;
    }
  }
};

class BatchWriter {
 public:
  BatchWriter(Connection& connection, const ViewBatch& batch) : connection_(connection), batch_(batch) {}

  AppliedViews write() {
    for (const auto& event : batch_.events) {
      items_[{event.kind, event.item}].apply(event);
      if (event.step != ViewStep::kWritten) remember(event);
    }
    write_items();
    for (const auto& [begin, entries] : seen_) write_seen(begin, entries);
    drop_seen();
    connection_.statement(kSetCursor).run(batch_.cursor.sequence, batch_.cursor.checksum);
    return {.items = items_.size(), .viewers = viewers_};
  }

 private:
  using Key = std::pair<std::uint8_t, std::string_view>;
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return hash64(key.second) + key.first; }
  };
  struct HourRow {
    UtcHour hour;
    std::int64_t item;
    std::uint8_t kind;
    std::uint64_t views;
  };

  UtcMillis generation_begin(UtcMillis at) const {
    return UtcMillis(batch_.window * (std::chrono::floor<std::chrono::milliseconds>(at).time_since_epoch() / batch_.window));
  }

  void remember(const Viewed& event) {
    auto at = std::chrono::floor<std::chrono::milliseconds>(event.at);
    auto begin = generation_begin(at);
    auto hash = seen_hash({static_cast<ViewedKind>(event.kind), ViewedId::trusted(std::string(event.item))}, event.viewer);
    auto millis = static_cast<std::uint32_t>((at - begin).count());
    std::string& entries = seen_[begin];
    entries.append(reinterpret_cast<const char*>(&hash), sizeof hash);
    entries.append(reinterpret_cast<const char*>(&millis), sizeof millis);
    ++viewers_;
  }

  // In the order of the tables' keys: then each page is touched once.
  void write_items() {
    std::vector<std::pair<Key, const ItemChange*>> items;
    items.reserve(items_.size());
    for (const auto& [key, change] : items_) items.emplace_back(key, &change);
    std::ranges::sort(items);
    std::vector<HourRow> hours;
    for (const auto& [key, change] : items) {
      std::int64_t id = write_item(key, *change);
      for (const auto& [hour, views] : change->hours) hours.push_back({hour, id, key.first, views});
    }
    std::ranges::sort(hours, {}, [](const HourRow& row) { return std::tie(row.hour, row.item); });
    for (const auto& row : hours) connection_.statement(kAddToHour).run(number_of(row.hour), row.item, row.kind, row.views);
  }

  std::int64_t write_item(const Key& key, const ItemChange& change) {
    auto micros = [](std::optional<UtcMicros> at) { return at ? std::optional(number_of(*at)) : std::nullopt; };
    auto& row =
        connection_.statement(kSetItem).query(key.first, key.second, change.numbers.views, change.numbers.buffered, change.numbers.direct,
                                              micros(change.marked_at), micros(change.numbers.synced_at), change.is_mark_new);
    row.next();
    auto id = row.integer(0);
    while (row.next()) {
    }
    return id;
  }

  void write_seen(UtcMillis begin, std::string_view entries) {
    constexpr std::size_t kBytesMax = kBlobBytesMax / kEntryBytes * kEntryBytes;
    for (; !entries.empty(); entries.remove_prefix(std::min(entries.size(), kBytesMax))) {
      connection_.statement(kAddSeen).run(number_of(begin), number_of(begin + batch_.window), sqlite::Blob{entries.substr(0, kBytesMax)});
    }
  }

  // The generation before the one that `now` is in still matters.
  void drop_seen() {
    auto now = std::chrono::floor<std::chrono::milliseconds>(batch_.now);
    connection_.statement(kDropSeen).run(number_of(generation_begin(now) - batch_.window), kBlobsDroppedMax);
  }

  Connection& connection_;
  const ViewBatch& batch_;
  boost::unordered_flat_map<Key, ItemChange, KeyHash> items_;
  std::map<UtcMillis, std::string> seen_;  // entries by when their generation begins
  std::size_t viewers_ = 0;
};

Result<std::vector<std::optional<ItemNumbers>>> find_items(Connection& connection, const std::vector<ViewedItem>& items) {
  std::vector<std::optional<ItemNumbers>> found;
  found.reserve(items.size());
  for (const auto& item : items) {
    auto& row = connection.statement(kGetItem).query(static_cast<int>(item.kind), item.id.view());
    if (!row.next()) {
      found.emplace_back();
      continue;
    }
    ItemNumbers numbers{.views = static_cast<std::uint64_t>(row.integer(0)),
                        .buffered = static_cast<std::uint64_t>(row.integer(1)),
                        .direct = static_cast<std::uint64_t>(row.integer(2))};
    if (!row.is_null(3)) numbers.synced_at = UtcMicros(std::chrono::microseconds(row.integer(3)));
    found.emplace_back(numbers);
    row.reset();
  }
  return found;
}

Result<std::vector<CountedItem>> marked_items(Connection& connection, UtcMicros until, std::size_t limit) {
  std::vector<CountedItem> items;
  auto& row = connection.statement(kGetMarked).query(number_of(until), limit);
  while (row.next()) {
    CountedItem item{.item = {static_cast<ViewedKind>(row.integer(1)), ViewedId::trusted(row.string(2))},
                     .views = static_cast<std::uint64_t>(row.integer(3)),
                     .direct = static_cast<std::uint64_t>(row.integer(4))};
    auto& hour = connection.statement(kGetChangedHours).query(row.integer(0));
    while (hour.next()) item.hours.push_back(read_hour(hour));
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace

Result<std::unique_ptr<ViewsFile>> ViewsFile::open(const std::filesystem::path& path, const std::string& vfs) {
  auto database =
      sqlite::Database::open({.path = path, .vfs = vfs, .migrations = sqlite::kViewsMigrations, .writer_cache_kib = kWriterCacheKib});
  if (!database) return std::unexpected(database.error());
  return std::unique_ptr<ViewsFile>(new ViewsFile(*std::move(database)));
}

// --- for the flusher ---

Result<ViewCursor> ViewsFile::cursor() {
  return database_->read_blocking([](Connection& connection) -> Result<ViewCursor> {
    auto& row = connection.statement(kGetCursor).query();
    if (!row.next()) return fail(ErrorCode::kInternal, "views.db has no cursor");
    ViewCursor cursor{static_cast<std::uint64_t>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1))};
    row.reset();
    return cursor;
  });
}

Result<AppliedViews> ViewsFile::apply(ViewBatch batch) {
  return database_->write_blocking(
      [&batch](Connection& connection) -> Result<AppliedViews> { return BatchWriter(connection, batch).write(); });
}

Result<void> ViewsFile::each_seen(UtcMillis since, FunctionRef<void(std::uint64_t hash, UtcMillis at)> use) {
  return database_->read_blocking([&](Connection& connection) -> Result<void> {
    auto& row = connection.statement(kGetSeen).query(number_of(since));
    while (row.next()) {
      auto begin = UtcMillis(std::chrono::milliseconds(row.integer(0)));
      for (std::string_view entries = row.blob(1); entries.size() >= kEntryBytes; entries.remove_prefix(kEntryBytes)) {
        std::uint64_t hash;
        std::uint32_t millis;
        std::memcpy(&hash, entries.data(), sizeof hash);
        std::memcpy(&millis, entries.data() + sizeof hash, sizeof millis);
        use(hash, begin + std::chrono::milliseconds(millis));
      }
    }
    return {};
  });
}

Result<std::uint64_t> ViewsFile::count_seen(UtcMillis from, UtcMillis until) {
  return database_->read_blocking([=](Connection& connection) -> Result<std::uint64_t> {
    auto& row = connection.statement(kCountSeen).query(number_of(from), number_of(until));
    row.next();
    auto bytes = static_cast<std::uint64_t>(row.integer(0));
    row.reset();
    return bytes / kEntryBytes;
  });
}

Result<bool> ViewsFile::prune(UtcMicros now) {
  return database_->write_blocking([now](Connection& connection) -> Result<bool> {
    return connection.statement(kDropHours).run(number_of(hour_of(now) - kHoursKept), kHoursDroppedMax) == kHoursDroppedMax;
  });
}

// --- for the store ---

Task<Result<std::vector<std::optional<ItemNumbers>>>> ViewsFile::find(std::vector<ViewedItem> items) {
  return database_->read([items = std::move(items)](Connection& connection) { return find_items(connection, items); });
}

Task<Result<std::vector<HourViews>>> ViewsFile::hours(ViewedItem item, UtcHour since) {
  return database_->read([item = std::move(item), since](Connection& connection) -> Result<std::vector<HourViews>> {
    std::vector<HourViews> hours;
    auto& row = connection.statement(kGetHours).query(static_cast<int>(item.kind), item.id.view(), number_of(since));
    while (row.next()) hours.push_back(read_hour(row));
    return hours;
  });
}

Task<Result<std::vector<ItemViews>>> ViewsFile::trending(UtcHour since, std::size_t limit) {
  return database_->read([since, limit](Connection& connection) -> Result<std::vector<ItemViews>> {
    std::vector<ItemViews> items;
    auto& row = connection.statement(kGetTrending).query(number_of(since), limit);
    while (row.next()) items.push_back({ViewedId::trusted(row.string(0)), static_cast<std::uint64_t>(row.integer(1))});
    return items;
  });
}

Task<Result<std::vector<CountedItem>>> ViewsFile::buffered(UtcMicros until, std::size_t limit) {
  return database_->read([until, limit](Connection& connection) { return marked_items(connection, until, limit); });
}

Task<Result<BufferedStats>> ViewsFile::stats() {
  return database_->read([](Connection& connection) -> Result<BufferedStats> {
    BufferedStats stats;
    auto& row = connection.statement(kGetStats).query();
    while (row.next()) {
      bool is_story = row.integer(0) == static_cast<int>(ViewedKind::kStory);
      (is_story ? stats.stories : stats.chapters) = static_cast<std::uint64_t>(row.integer(1));
      stats.views += static_cast<std::uint64_t>(row.integer(2));
    }
    return stats;
  });
}

Task<Result<void>> ViewsFile::hours_are_in_sql(std::vector<CountedItem> items) {
  return database_->write([items = std::move(items)](Connection& connection) -> Result<void> {
    for (const auto& item : items) {
      for (const auto& hour : item.hours) {
        connection.statement(kHourIsInSql).run(static_cast<int>(item.item.kind), item.item.id.view(), number_of(hour.hour), hour.views);
      }
    }
    return {};
  });
}

}  // namespace hearth::views
