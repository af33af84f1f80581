#pragma once

// Brings what a live store has counted into SQL: by the clock, by the API and by `hearth sync-views`.
//
// Killed at any point it has lost and doubled nothing: numbers are absolute, and an item stays marked until SQL has it. Its
// cost grows with the items that changed. Several nodes may run it at once; `added` then counts each view at one of them.

#include <chrono>
#include <cstdint>
#include <optional>

#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/base/result.h"
#include "hearth/base/single_flight.h"
#include "hearth/base/task.h"
#include "hearth/views/buffered_views.h"
#include "hearth/views/view_ledger.h"

namespace hearth::views {

struct SyncReport {
  std::chrono::milliseconds duration{0};
  std::uint64_t stories = 0;  // that had views which SQL lacked
  std::uint64_t chapters = 0;
  std::uint64_t story_views = 0;  // that SQL did not have
  std::uint64_t chapter_views = 0;
};

class ViewSync {
 public:
  // Both outlive it.
  ViewSync(BufferedViews& live, ViewLedger& ledger, const Clock& clock) : live_(live), ledger_(ledger), clock_(clock) {}

  // Everything that was answered before the call is in SQL when it returns. kUnavailable: SQL or the live store is away, and
  // what it had done so far stands. Calls of one process follow one another. Thread-safe.
  Task<Result<SyncReport>> run();
  // Drops the calls that wait for another. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters() { flights_.abandon_waiters(); }

  struct Stats {
    std::uint64_t runs = 0;
    std::uint64_t failures = 0;
    std::uint64_t items = 0;
    std::uint64_t views = 0;
    std::optional<UtcMicros> last_success = {};
  };
  Stats stats() const;

 private:
  Task<Result<SyncReport>> run_alone();

  BufferedViews& live_;
  ViewLedger& ledger_;
  const Clock& clock_;
  SingleFlight flights_;
  mutable Guarded<Stats> stats_{Stats{}};
};

}  // namespace hearth::views
