#pragma once

// Views in Redis, shared by all nodes.
//
// A view is one script (view.lua): who was seen, the number, the hour's number and the mark that SQL lacks it, all or none.
// It has no outbox and no lease: a sync reads absolute numbers of the marked items, and a repeated one changes nothing.
//
// An item without a count is not loaded. The first who asks for it loads SQL's total. Items that SQL lacks nothing of
// are forgotten after kCleanKept.
//
// Viewers of an item are kept in hashes of about 96 for each generation of time (view.lua), which Redis packs and drops whole.
// Measured on Redis 7, keys included: 18 bytes a viewer for a story of 1,000, 19 for one of 1,000,000, 50 where 100,000 stories
// have three each (150 a story); a key for each viewer would take 133. The price is a search through some 100 viewers
// at each view, and one hash that is split in two for every 96 new ones. hash-max-listpack-entries (before Redis 7
// hash-max-ziplist-entries) must stay at 192 or more, its default being 512, or a viewer takes about 66 bytes.
//
// How durable an answer is depends on Redis' appendfsync and replication. What a crash loses are the views of that time, and
// that they were seen: such a viewer counts again. A view that SQL has already but Redis has lost is not counted twice: until
// Redis' total has passed SQL's, SQL's stands, and the next sync brings it back. A Redis that comes back empty loads SQL's totals
// and has forgotten who was seen.
//
// Time is that of the Redis server that has the item.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/single_flight.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/views/buffered_views.h"
#include "hearth/views/ranking_cache.h"
#include "hearth/views/stores/redis/view_keys.h"
#include "hearth/views/view_ledger.h"
#include "hearth/views/view_store.h"

namespace hearth::views {

inline constexpr std::chrono::hours kCleanKept{24};
inline constexpr std::chrono::hours kHoursKeptInRedis{26};  // once SQL has them

class RedisViewStore final : public ViewStore, public BufferedViews {
 public:
  enum class Time : std::uint8_t { kOfRedis, kOfClock };  // the latter for tests

  // All outlive it. `window`: how long a viewer counts once; with another one than before, who was seen is forgotten.
  RedisViewStore(redis::Client& client, ViewLedger& ledger, const Clock& clock, redis::KeyNames names, std::chrono::hours window,
                 Time time = Time::kOfRedis);

  Task<Result<ViewOutcome>> view(View view) override;
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) override;
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override;
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) override;

  Task<Result<std::vector<CountedItem>>> buffered(UtcMicros until, std::size_t limit) override;
  Task<Result<void>> settle(std::vector<CountedItem> items, std::vector<WrittenItem> written, UtcMicros at) override;
  Task<Result<BufferedStats>> stats() override;

  // Many at once, in any order. Each succeeds or fails by itself.
  Task<std::vector<Result<ViewOutcome>>> view_all(std::vector<View> views);
  // Takes up what SQL has counted itself.
  Task<Result<void>> reload(std::vector<ViewedItem> items);

  // Drops the coroutines that wait for a load. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters() {
    flights_.abandon_waiters();
    rankings_.abandon_waiters();
  }

  struct Counters {
    std::uint64_t views = 0;    // asked for
    std::uint64_t counted = 0;  // of them
    std::uint64_t loads = 0;    // of items from SQL
  };
  Counters counters() const { return {.views = views_, .counted = counted_, .loads = loads_}; }

 private:
  struct Marked {
    ViewedItem item;
    std::int64_t since_ms = 0;  // when the oldest view was that SQL lacks
  };

  redis::ScriptCall call_for(const View& view) const;
  Task<std::vector<std::size_t>> read_totals(const std::vector<ViewedItem>& items, const std::vector<std::size_t>& wanted,
                                             std::vector<ViewTotal>& totals, Result<void>& outcome);
  Task<Result<void>> load(std::vector<ViewedItem> items);
  Task<Result<std::vector<Marked>>> marked(UtcMicros until, std::size_t limit);
  Task<Result<std::vector<CountedItem>>> read_counted(std::vector<Marked> marked);
  Task<Result<std::vector<ItemViews>>> ranking(UtcHour since);
  std::string given_time() const;

  redis::Client& client_;
  ViewLedger& ledger_;
  const Clock& clock_;
  const ViewKeys keys_;
  const std::chrono::milliseconds window_;
  const Time time_;
  SingleFlight flights_;
  RankingCache rankings_;
  std::atomic<std::uint64_t> views_{0};
  std::atomic<std::uint64_t> counted_{0};
  std::atomic<std::uint64_t> loads_{0};
};

}  // namespace hearth::views
