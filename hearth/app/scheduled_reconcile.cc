#include "hearth/app/scheduled_reconcile.h"

#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

constexpr std::size_t kPostsPerPage = 500;

}  // namespace

ScheduledReconcile::ScheduledReconcile(likes::LikeReconciler& reconciler, likes::Flush flush, const Config::Reconcile& config,
                                       const Clock& clock)
    : reconciler_(reconciler),
      flush_(std::move(flush)),
      config_(config),
      clock_(clock),
      cron_(Cron::parse(config.cron, "reconcile.cron").value()),  // checked when the settings were read
      due_(cron_.next_after(clock.now())),
      task_({.name = "reconcile"}, [this] { return run_when_due(); }) {}

void ScheduledReconcile::stop() {
  is_stopping_ = true;
  task_.stop();
}

Result<bool> ScheduledReconcile::run_when_due() {
  if (clock_.now() < due_) return false;
  if (auto done = run(); !done) return std::unexpected(done.error());
  due_ = cron_.next_after(clock_.now());
  return false;
}

Result<void> ScheduledReconcile::run() {
  if (auto flushed = run_to_end(flush_()); !flushed) return flushed;
  auto ends = clock_.steady() + config_.budget;
  std::uint64_t checked = 0;
  std::uint64_t drifted = 0;
  for (bool more = true; more && !is_stopping_ && clock_.steady() < ends;) {
    likes::ReconcileReport page;
    auto next = next_page(page);
    if (!next) return std::unexpected(next.error());
    more = *next;
    for (const auto& drift : page.drift) {
      log::warning("reconcile", "live state and SQL differed",
                   {{"post", drift.post}, {"live", drift.live}, {"sql", drift.sql}, {"ratings", drift.ratings}});
    }
    checked += page.checked;
    drifted += page.drifted;
    found_ += page.drifted;
    repaired_ += page.repaired;
  }
  last_ = drifted;
  log::info("reconcile", "compared live state with SQL", {{"posts", checked}, {"differed", drifted}});
  if (drifted > config_.drift_threshold) {
    log::warning("reconcile", "more posts differed than reconcile.drift_threshold: something writes where it should not",
                 {{"posts", drifted}, {"threshold", config_.drift_threshold}});
  }
  return {};
}

// False: those were the last, and the next run begins anew.
Result<bool> ScheduledReconcile::next_page(likes::ReconcileReport& report) {
  if (!is_through_sql_) {
    auto more = run_to_end(reconciler_.reconcile_page(after_, kPostsPerPage, likes::Repairs::kMade, report));
    if (!more) return std::unexpected(more.error());
    is_through_sql_ = !*more;
    return true;
  }
  auto next = run_to_end(reconciler_.reconcile_unknown(from_, likes::Repairs::kMade, report));
  if (!next) return std::unexpected(next.error());
  from_ = *std::move(next);
  if (!from_.empty()) return true;
  is_through_sql_ = false;
  after_.clear();
  return false;
}

ScheduledReconcile::Stats ScheduledReconcile::stats() const {
  return {.found = found_, .repaired = repaired_, .last = last_, .is_last_over_threshold = last_ > config_.drift_threshold};
}

}  // namespace hearth::app
