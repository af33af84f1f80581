#pragma once

// Compares live state with SQL at the moments of reconcile.cron, and brings together what differs.
//
// A run takes page after page until all posts have been compared or its time is over; the next goes on where it stopped. A
// run that fails, because SQL or the live store is away, is tried again until it succeeds.

#include <atomic>
#include <cstdint>
#include <string>

#include "hearth/app/config.h"
#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/base/cron.h"
#include "hearth/likes/like_reconciler.h"

namespace hearth::app {

class ScheduledReconcile {
 public:
  ScheduledReconcile(likes::LikeReconciler& reconciler, likes::Flush flush, const Config::Reconcile& config, const Clock& clock);

  void start() { task_.start(); }
  // Ends a run after its page.
  void stop();

  // One run, now. For one thread, which may block.
  Result<void> run();
  // The step of the task: a run, if one is due.
  Result<bool> run_when_due();

  struct Stats {
    std::uint64_t found = 0;     // posts that differed
    std::uint64_t repaired = 0;  // of them
    std::uint64_t last = 0;      // that differed in the last run
    bool is_last_over_threshold = false;
  };
  Stats stats() const;

 private:
  Result<bool> next_page(likes::ReconcileReport& report);

  likes::LikeReconciler& reconciler_;
  const likes::Flush flush_;
  const Config::Reconcile config_;
  const Clock& clock_;
  const Cron cron_;
  UtcMicros due_;
  bool is_through_sql_ = false;  // the posts that only the live store knows are next
  std::string after_;            // the last post of SQL that was compared
  std::string from_;             // where to go on in the live store
  std::atomic<bool> is_stopping_{false};
  std::atomic<std::uint64_t> found_{0};
  std::atomic<std::uint64_t> repaired_{0};
  std::atomic<std::uint64_t> last_{0};
  BackgroundTask task_;
};

}  // namespace hearth::app
