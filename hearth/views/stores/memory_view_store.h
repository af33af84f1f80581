#pragma once

// The embedded live store of views: totals and who was seen in memory, over the journal and views.db.
//
// How a view is counted: under the lock of the item's shard, the event joins the journal's open batch and memory changes;
// both or neither. The answer waits for that batch. A reader that sees the total waits for it too.
//
// An item that is not in memory and has views that SQL lacks is complete in views.db. Any other begins with the number that SQL
// has (view_ledger.h), which went on if views were kept elsewhere for a time. An item may leave memory again when the view
// flusher has passed its last change. Who was seen stays in memory as long as it matters:
// seen_table.h.
//
// Hours, trending stories and what SQL lacks are read from views.db, after a flush of all that was answered.
//
// After a failed commit the items it touched are dropped and its viewers are taken back; items are loaded again once the
// journal accepts changes and views.db has everything that is durable.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/hash.h"
#include "hearth/base/single_flight.h"
#include "hearth/outbox/journal.h"
#include "hearth/views/buffered_views.h"
#include "hearth/views/ranking_cache.h"
#include "hearth/views/stores/seen_table.h"
#include "hearth/views/stores/views_file.h"
#include "hearth/views/view_flusher.h"
#include "hearth/views/view_ledger.h"
#include "hearth/views/view_store.h"

namespace hearth::views {

struct MemoryViewStoreOptions {
  std::chrono::milliseconds window = std::chrono::hours(24);
  std::uint64_t items_bytes_max = 512ull << 20;  // items leave memory above it
  std::uint64_t seen_bytes_max = 1ull << 30;     // of who was seen: about 70 million; new viewers are refused above it
};

class MemoryViewStore final : public ViewStore, public BufferedViews, public outbox::JournalListener {
 public:
  // All outlive it. `flusher` flushes to `file`, with the same window.
  MemoryViewStore(outbox::Journal& journal, ViewsFile& file, ViewFlusher& flusher, ViewLedger& ledger, const Clock& clock,
                  MemoryViewStoreOptions options);
  ~MemoryViewStore() override;

  // Before serving: learns who was seen. REQUIRES: views.db has everything that is in the journal.
  Result<void> start();

  Task<Result<ViewOutcome>> view(View view) override;
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) override;
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override;
  // Computed once at a time, and kept for ten times as long as it took.
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) override;

  Task<Result<std::vector<CountedItem>>> buffered(UtcMicros until, std::size_t limit) override;
  Task<Result<void>> settle(std::vector<CountedItem> items, std::vector<WrittenItem> written, UtcMicros at) override;
  Task<Result<BufferedStats>> stats() override;

  void on_lost(outbox::Sequence first) override;
  // Lets items go until memory is under its limit, if it is over, and viewers who matter no more. Returns how many items left.
  std::size_t evict();
  // Drops the coroutines that wait for a load. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters();

  struct MemoryStats {
    std::uint64_t items = 0;
    std::uint64_t item_bytes = 0;
    std::uint64_t seen = 0;
    std::uint64_t seen_bytes = 0;
    std::uint64_t seen_refusals = 0;  // views that were refused because the table was full
    std::uint64_t counted = 0;
    std::uint64_t repeated = 0;
    std::uint64_t loads = 0;
    std::uint64_t evictions = 0;
  };
  MemoryStats memory_stats() const;

 private:
  struct Item {
    ItemNumbers numbers;
    outbox::Sequence changed_in = 0;  // the batch of its last change
    bool is_referenced = true;        // used since the evictor came by
  };
  using Items = boost::unordered_flat_map<std::string, Item, TextHash, std::equal_to<>>;
  struct Shard {
    mutable std::mutex mutex;
    Items items;                   // by item_key()
    std::uint64_t departures = 0;  // items that left: a load that began before one must begin again
  };
  static constexpr std::size_t kShards = 128;

  struct Attempt {
    bool is_loaded = true;          // false: nothing was done, the item must be loaded first
    outbox::Sequence sequence = 0;  // to wait for before answering
    Result<ViewOutcome> outcome = ViewOutcome{};
  };

  static std::string item_key(const ViewedItem& item);
  Shard& shard_of(std::string_view key) { return shards_[(hash64(key) >> 16) % kShards]; }

  Attempt try_view(const View& view, const std::string& key);
  Attempt count(Item& item, const View& view, UtcMicros at, UtcMicros now);
  Result<outbox::Sequence> settle_one(const CountedItem& item, const WrittenItem& written, UtcMicros at);
  Result<outbox::Sequence> append(const ViewedItem& item, outbox::Viewed event, const ItemNumbers& numbers);

  Result<void> check_loadable() const;
  Task<Result<void>> load_one(ViewedItem item);
  Task<Result<void>> load(std::vector<ViewedItem> items);
  std::size_t evict_from(Shard& shard);
  void erase(Shard& shard, Items::iterator item);
  Task<Result<std::vector<ItemViews>>> ranking(UtcHour since);
  std::uint64_t hard_limit() const { return options_.items_bytes_max + std::max<std::uint64_t>(options_.items_bytes_max / 8, 1u << 20); }

  outbox::Journal& journal_;
  ViewsFile& file_;
  ViewFlusher& flusher_;
  ViewLedger& ledger_;
  const Clock& clock_;
  const MemoryViewStoreOptions options_;
  SeenTable seen_;
  SingleFlight flights_;
  std::array<Shard, kShards> shards_;
  RankingCache rankings_;
  std::atomic<outbox::Sequence> load_barrier_{0};  // loads wait until views.db has it
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> items_{0};
  std::atomic<std::uint64_t> counted_{0};
  std::atomic<std::uint64_t> repeated_{0};
  std::atomic<std::uint64_t> loads_{0};
  std::atomic<std::uint64_t> evictions_{0};
  std::atomic<std::size_t> next_evicted_{0};
};

}  // namespace hearth::views
