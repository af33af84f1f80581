#include "hearth/views/stores/memory_view_store.h"

#include "hearth/base/assert.h"
#include "hearth/base/log.h"
#include "hearth/outbox/event.h"

namespace hearth::views {
namespace {

constexpr int kLoadRoundsMax = 20;  // a load that others keep overtaking gives up

Error memory_is_full() {
  return {ErrorCode::kUnavailable, "the memory limit of views is reached and nothing can leave memory yet"};
}
Error table_is_full() {
  return {ErrorCode::kUnavailable, "the memory for telling viewers apart is full; it takes new viewers again as the window of others ends"};
}

std::uint64_t item_bytes(std::string_view key) {
  constexpr std::uint64_t kSlot = 130;  // key and value of a table that is about 0.7 full
  return kSlot + (key.size() > 15 ? key.size() + 17 : 0);
}

UtcMillis to_millis(UtcMicros at) {
  return std::chrono::floor<std::chrono::milliseconds>(at);
}

}  // namespace

MemoryViewStore::MemoryViewStore(outbox::Journal& journal, ViewsFile& file, ViewFlusher& flusher, ViewLedger& ledger, const Clock& clock,
                                 MemoryViewStoreOptions options)
    : journal_(journal),
      file_(file),
      flusher_(flusher),
      ledger_(ledger),
      clock_(clock),
      options_(options),
      seen_(options.window, options.seen_bytes_max),
      rankings_(clock) {}

MemoryViewStore::~MemoryViewStore() = default;

Result<void> MemoryViewStore::start() {
  auto now = to_millis(clock_.now());
  auto oldest = seen_.oldest(now);
  auto current = oldest + seen_.window();
  auto before = file_.count_seen(oldest, current);
  if (!before) return std::unexpected(before.error());
  auto newest = file_.count_seen(current, current + seen_.window());
  if (!newest) return std::unexpected(newest.error());
  seen_.reserve(*newest, *before, now);
  auto loaded = file_.each_seen(oldest, [&](std::uint64_t hash, UtcMillis at) { seen_.load(hash, at, now); });
  if (!loaded) return loaded;
  if (auto stats = seen_.stats(); stats.bytes > options_.seen_bytes_max) {
    log::warning("views", "the viewers of the last window need more memory than their limit; new ones are refused until some leave",
                 {{"bytes", stats.bytes}, {"limit", options_.seen_bytes_max}});
  }
  return {};
}

// --- counting ---

Task<Result<ViewOutcome>> MemoryViewStore::view(View view) {
  std::string key = item_key(view.item);
  Attempt attempt = try_view(view, key);
  for (int round = 0; !attempt.is_loaded; attempt = try_view(view, key)) {
    if (++round > kLoadRoundsMax) co_return fail(ErrorCode::kUnavailable, "the item could not be kept in memory long enough to count");
    if (auto loaded = co_await load_one(view.item); !loaded) co_return std::unexpected(loaded.error());
  }
  if (auto durable = co_await journal_.durable(attempt.sequence); !durable) co_return std::unexpected(durable.error());
  co_return std::move(attempt.outcome);
}

MemoryViewStore::Attempt MemoryViewStore::try_view(const View& view, const std::string& key) {
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.items.find(key);
  if (found == shard.items.end()) return {.is_loaded = false};
  found->second.is_referenced = true;
  auto now = clock_.now();
  auto at = std::max<UtcMicros>(std::min(view.at.value_or(now), now), seen_.oldest(to_millis(now)));
  return count(found->second, view, at, now);
}

// The critical section: the event joins the open batch and memory changes, or neither.
MemoryViewStore::Attempt MemoryViewStore::count(Item& item, const View& view, UtcMicros at, UtcMicros now) {
  auto is_known = [&](Viewer viewer) { return seen_.open(seen_hash(view.item, viewer), to_millis(now)).is_seen(to_millis(at)); };
  bool is_repeated = view.previous && is_known(*view.previous);
  auto viewer = seen_.open(seen_hash(view.item, view.viewer), to_millis(now));
  if (is_repeated || viewer.is_seen(to_millis(at))) {
    repeated_.fetch_add(1, std::memory_order_relaxed);
    return {.sequence = item.changed_in, .outcome = ViewOutcome{.is_first = false, .views = item.numbers.views}};
  }
  if (!viewer.make_room(to_millis(at))) return {.outcome = std::unexpected(table_is_full())};

  ItemNumbers next = item.numbers;
  if (view.counts) {
    ++next.views;
    ++next.buffered;
  }
  auto step = view.counts ? outbox::ViewStep::kCounted : outbox::ViewStep::kRemembered;
  auto sequence = append(view.item, {.step = step, .viewer = view.viewer, .at = at, .recorded_at = now}, next);
  if (!sequence) return {.outcome = std::unexpected(sequence.error())};
  viewer.insert(to_millis(at), *sequence, journal_.durable_mark());
  item.numbers = next;
  item.changed_in = *sequence;
  counted_.fetch_add(view.counts ? 1 : 0, std::memory_order_relaxed);
  return {.sequence = *sequence, .outcome = ViewOutcome{.is_first = true, .views = next.views}};
}

Result<outbox::Sequence> MemoryViewStore::append(const ViewedItem& item, outbox::Viewed event, const ItemNumbers& numbers) {
  thread_local std::string events;
  events.clear();
  event.item = item.id.view();
  event.kind = static_cast<std::uint8_t>(item.kind);
  event.views = numbers.views;
  event.buffered = numbers.buffered;
  event.direct = numbers.direct;
  outbox::encode(event, events);
  return journal_.append(events);
}

// --- reading ---

Task<Result<std::vector<ViewTotal>>> MemoryViewStore::totals(std::vector<ViewedItem> items) {
  HEARTH_ASSERT(items.size() <= kItemsPerReadMax);
  std::vector<ViewTotal> totals(items.size());
  std::vector<bool> is_known(items.size(), false);
  outbox::Sequence newest = 0;
  for (int round = 0; round < kLoadRoundsMax; ++round) {
    std::vector<ViewedItem> missing;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (is_known[i]) continue;
      std::string key = item_key(items[i]);
      Shard& shard = shard_of(key);
      std::lock_guard lock(shard.mutex);
      auto found = shard.items.find(key);
      if (found == shard.items.end()) {
        missing.push_back(items[i]);
        continue;
      }
      Item& item = found->second;
      item.is_referenced = true;
      totals[i] = {.views = item.numbers.views, .buffered = item.numbers.buffered, .synced_at = item.numbers.synced_at};
      newest = std::max(newest, item.changed_in);
      is_known[i] = true;
    }
    if (missing.empty()) {
      if (auto durable = co_await journal_.durable(newest); !durable) co_return std::unexpected(durable.error());
      co_return totals;
    }
    if (auto loaded = co_await load(std::move(missing)); !loaded) co_return std::unexpected(loaded.error());
  }
  co_return fail(ErrorCode::kUnavailable, "the items could not be kept in memory long enough to read them");
}

Task<Result<std::vector<HourViews>>> MemoryViewStore::hours(ViewedItem item, UtcHour since) {
  if (auto flushed = co_await flusher_.catch_up(); !flushed) co_return std::unexpected(flushed.error());
  co_return co_await file_.hours(std::move(item), since);
}

Task<Result<std::vector<ItemViews>>> MemoryViewStore::trending(UtcHour since, std::size_t limit) {
  HEARTH_ASSERT(limit <= kTrendingMax);
  return rankings_.get(since, limit, [this, since] { return ranking(since); });
}

Task<Result<std::vector<ItemViews>>> MemoryViewStore::ranking(UtcHour since) {
  if (auto flushed = co_await flusher_.catch_up(); !flushed) co_return std::unexpected(flushed.error());
  co_return co_await file_.trending(since, kTrendingMax);
}

// --- into SQL ---

Task<Result<std::vector<CountedItem>>> MemoryViewStore::buffered(UtcMicros until, std::size_t limit) {
  if (auto flushed = co_await flusher_.catch_up(); !flushed) co_return std::unexpected(flushed.error());
  co_return co_await file_.buffered(until, limit);
}

Task<Result<BufferedStats>> MemoryViewStore::stats() {
  if (auto flushed = co_await flusher_.catch_up(); !flushed) co_return std::unexpected(flushed.error());
  co_return co_await file_.stats();
}

Task<Result<void>> MemoryViewStore::settle(std::vector<CountedItem> items, std::vector<WrittenItem> written, UtcMicros at) {
  HEARTH_ASSERT(items.size() == written.size());
  std::vector<bool> is_settled(items.size(), false);
  outbox::Sequence newest = 0;
  for (int round = 0;; ++round) {
    std::vector<ViewedItem> missing;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (is_settled[i]) continue;
      auto sequence = settle_one(items[i], written[i], at);
      if (!sequence && sequence.error().code != ErrorCode::kNotFound) co_return std::unexpected(sequence.error());
      is_settled[i] = sequence.has_value();
      if (sequence) newest = std::max(newest, *sequence);
      if (!sequence) missing.push_back(items[i].item);
    }
    if (missing.empty()) break;
    if (round == kLoadRoundsMax)
      co_return fail(ErrorCode::kUnavailable, "the items could not be kept in memory long enough to settle them");
    if (auto loaded = co_await load(std::move(missing)); !loaded) co_return loaded;
  }
  if (auto durable = co_await journal_.durable(newest); !durable) co_return durable;
  co_return co_await file_.hours_are_in_sql(std::move(items));
}

// kNotFound: it must be loaded first.
Result<outbox::Sequence> MemoryViewStore::settle_one(const CountedItem& counted, const WrittenItem& written, UtcMicros at) {
  std::string key = item_key(counted.item);
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.items.find(key);
  if (found == shard.items.end()) return fail(ErrorCode::kNotFound, "");
  Item& item = found->second;
  // Another sync has brought more of it to SQL already, or this very one.
  if (counted.views <= item.numbers.views - item.numbers.buffered) return item.changed_in;

  // What came since. SQL may have less than it was given, if it was taken back to an older state: the total stays.
  std::uint64_t since = item.numbers.views - std::min(counted.views, item.numbers.views);
  ItemNumbers next{.views = std::max(item.numbers.views, written.views + since), .direct = written.direct, .synced_at = at};
  next.buffered = next.views - written.views;
  auto sequence = append(counted.item, {.step = outbox::ViewStep::kWritten, .at = at, .recorded_at = at}, next);
  if (!sequence) return sequence;
  item.numbers = next;
  item.changed_in = *sequence;
  return sequence;
}

// --- loading ---

// After a failed commit nothing may come from views.db before it has all that is durable.
Result<void> MemoryViewStore::check_loadable() const {
  if (!journal_.is_accepting() || flusher_.flushed() < load_barrier_) {
    return fail(ErrorCode::kUnavailable, "recovering from a failed write");
  }
  if (bytes_ > hard_limit()) return std::unexpected(memory_is_full());
  return {};
}

Task<Result<void>> MemoryViewStore::load_one(ViewedItem item) {
  auto lead = co_await flights_.join(item_key(item));
  if (!lead) co_return Result<void>{};  // another has just loaded it; the caller looks again
  std::vector<ViewedItem> items;
  items.push_back(std::move(item));
  co_return co_await load(std::move(items));
}

Task<Result<void>> MemoryViewStore::load(std::vector<ViewedItem> items) {
  std::vector<std::uint64_t> departures;
  departures.reserve(items.size());
  for (const auto& item : items) {
    Shard& shard = shard_of(item_key(item));
    std::lock_guard lock(shard.mutex);
    departures.push_back(shard.departures);
  }
  if (auto loadable = check_loadable(); !loadable) co_return loadable;
  auto found = co_await file_.find(items);
  if (!found) co_return std::unexpected(found.error());

  std::vector<ViewedItem> asked;
  auto needs_sql = [&](std::size_t i) { return !(*found)[i] || (*found)[i]->buffered == 0; };
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (needs_sql(i)) asked.push_back(items[i]);
  }
  std::vector<SqlTotal> in_sql;
  if (!asked.empty()) {
    auto totals = co_await ledger_.totals(std::move(asked));
    if (!totals) co_return std::unexpected(totals.error());
    in_sql = *std::move(totals);
  }
  auto next_in_sql = in_sql.begin();
  for (std::size_t i = 0; i < items.size(); ++i) {
    ItemNumbers numbers = (*found)[i].value_or(ItemNumbers{});
    if (needs_sql(i)) {
      const SqlTotal& sql = *next_in_sql++;
      if (sql.views >= numbers.views) numbers = {.views = sql.views, .direct = sql.direct, .synced_at = sql.synced_at};
    }
    std::string key = item_key(items[i]);
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    // Someone else may have loaded it, and it may even have changed and left again since views.db was read.
    if (shard.departures != departures[i]) continue;
    auto bytes = item_bytes(key);
    if (!shard.items.try_emplace(std::move(key), Item{.numbers = numbers}).second) continue;
    bytes_ += bytes;
    ++items_;
    ++loads_;
  }
  co_return Result<void>{};
}

std::string MemoryViewStore::item_key(const ViewedItem& item) {
  std::string key;
  key.reserve(1 + item.id.view().size());
  key += item.kind == ViewedKind::kStory ? 's' : 'c';
  key += item.id.view();
  return key;
}

// --- leaving memory ---

std::size_t MemoryViewStore::evict() {
  seen_.expire(to_millis(clock_.now()));
  std::size_t evicted = 0;
  // Twice around: the first time may only find that items were used lately.
  for (std::size_t i = 0; i < 2 * kShards && bytes_ > options_.items_bytes_max; ++i)
    evicted += evict_from(shards_[next_evicted_++ % kShards]);
  return evicted;
}

// One turn of a CLOCK: what was used since the last turn stays.
std::size_t MemoryViewStore::evict_from(Shard& shard) {
  std::size_t evicted = 0;
  std::lock_guard lock(shard.mutex);
  for (auto next = shard.items.begin(); next != shard.items.end() && bytes_ > options_.items_bytes_max;) {
    auto current = next++;
    if (current->second.changed_in > flusher_.flushed() || std::exchange(current->second.is_referenced, false)) continue;
    erase(shard, current);
    ++evicted;
  }
  evictions_ += evicted;
  return evicted;
}

void MemoryViewStore::erase(Shard& shard, Items::iterator item) {
  bytes_ -= item_bytes(item->first);
  --items_;
  ++shard.departures;
  shard.items.erase(item);
}

void MemoryViewStore::on_lost(outbox::Sequence first) {
  load_barrier_ = journal_.durable_mark();
  seen_.take_back(first);
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    ++shard.departures;  // also for loads that are under way
    for (auto next = shard.items.begin(); next != shard.items.end();) {
      auto current = next++;
      if (current->second.changed_in >= first) erase(shard, current);
    }
  }
}

void MemoryViewStore::abandon_waiters() {
  flights_.abandon_waiters();
  rankings_.abandon_waiters();
}

MemoryViewStore::MemoryStats MemoryViewStore::memory_stats() const {
  auto seen = seen_.stats();
  return {.items = items_,
          .item_bytes = bytes_,
          .seen = seen.entries,
          .seen_bytes = seen.bytes,
          .seen_refusals = seen.refusals,
          .counted = counted_,
          .repeated = repeated_,
          .loads = loads_,
          .evictions = evictions_};
}

}  // namespace hearth::views
