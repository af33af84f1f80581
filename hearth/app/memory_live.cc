#include "hearth/app/memory_live.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "hearth/app/metrics.h"
#include "hearth/base/log.h"

namespace hearth::app {
namespace {

using namespace std::chrono_literals;

constexpr auto kFlushPoll = 2ms;
constexpr int kFlushRest = 4;  // times as long as the flush took
constexpr auto kHousekeepingPeriod = 100ms;
constexpr auto kPrunePeriod = 60s;

// Dirty posts as memory has them at every moment.
class LiveDirtyPosts final : public content::DirtyPosts {
 public:
  explicit LiveDirtyPosts(const likes::MemoryLikeStore& store) : store_(store) {}
  bool is_dirty(std::string_view post) const override { return store_.is_dirty(post); }
  std::vector<std::string> above(std::uint32_t likes, std::size_t limit) const override { return store_.dirty_above(likes, limit); }

 private:
  const likes::MemoryLikeStore& store_;
};

Task<Result<std::shared_ptr<const content::DirtyPosts>>> at_once(std::shared_ptr<const content::DirtyPosts> dirty) {
  co_return dirty;
}

}  // namespace

Result<std::unique_ptr<MemoryLive>> MemoryLive::open(const std::filesystem::path& folder, const Config& config, const Clock& clock,
                                                     Sql& sql, const std::string& vfs) {
  auto journal = outbox::Journal::open(
      {.path = folder / "journal.db", .vfs = vfs, .durability = config.durability, .outbox_bytes_max = config.outbox.bytes_max});
  if (!journal) return std::unexpected(journal.error());
  return std::unique_ptr<MemoryLive>(new MemoryLive(*std::move(journal), config, clock, sql));
}

MemoryLive::MemoryLive(std::unique_ptr<outbox::Journal> journal, const Config& config, const Clock& clock, Sql& sql)
    : clock_(clock),
      sql_(sql),
      outbox_bytes_max_(config.outbox.bytes_max),
      journal_(std::move(journal)),
      flusher_(*journal_, sql.ledger()),
      store_(*journal_, sql.ledger(), clock,
             {.memory_limit = config.live.memory_limit, .idempotency_bytes_max = config.idempotency.bytes_max}),
      posts_(store_),
      flush_task_({.name = "flusher", .period = config.flush.interval}, [this] { return flush_when_due(); }),
      projection_task_({.name = "projection", .period = config.flush.interval}, [this] { return project(); }),
      housekeeping_task_({.name = "likes", .period = kHousekeepingPeriod}, [this] { return keep_house(); }),
      projection_(sql.projection(*journal_, ledger_counts(), [this] { projection_task_.wake(); })) {}

MemoryLive::~MemoryLive() {
  stop();
}

content::LedgerCounts MemoryLive::ledger_counts() {
  return {.cursor = [this]() -> Result<outbox::Sequence> { return flusher_.flushed(); },
          .counts = [this](std::vector<std::string> posts) -> Result<std::vector<content::PostCount>> {
            auto heads = sql_.ledger().heads_blocking(posts);
            if (!heads) return std::unexpected(heads.error());
            std::vector<content::PostCount> counts;
            counts.reserve(heads->size());
            for (auto& head : *heads) counts.push_back({std::move(head.post), head.likes, head.version});
            return counts;
          }};
}

// Everything that was answered before the last end is in the journal. Once the ledger has it all, any post can be loaded.
Result<void> MemoryLive::start() {
  auto flushed = flusher_.start();
  if (!flushed) return std::unexpected(flushed.error());
  auto projected = projection_ ? projection_->cursor() : *flushed;
  if (!projected) return std::unexpected(projected.error());
  journal_->start(std::max(*flushed, *projected), &store_);

  if (auto drained = drain(); !drained) return drained;
  if (auto started = store_.start(); !started) return started;
  is_started_ = true;
  flush_task_.start();
  if (projection_) projection_task_.start();
  housekeeping_task_.start();
  return {};
}

// Brings all consumers to the end of the journal.
Result<void> MemoryLive::drain() {
  for (bool more = true; more;) {
    auto step = flusher_.run_once();
    if (!step) return std::unexpected(step.error());
    more = *step;
  }
  for (bool more = true; more;) {
    auto step = project();
    if (!step) return std::unexpected(step.error());
    more = *step;
  }
  return {};
}

void MemoryLive::stop() {
  if (std::exchange(is_stopped_, true)) return;
  housekeeping_task_.stop();
  projection_task_.stop();
  flush_task_.stop();
  journal_->stop();
  // So that the next start has nothing to catch up with.
  auto drained = is_started_ ? drain() : Result<void>();
  if (!drained) log::warning("app", "SQL is behind; it follows at the next start", {{"error", drained.error().message}});
  journal_->abandon_waiters();
  store_.abandon_waiters();
}

// A flush that took long is followed by a rest: what gathers meanwhile makes the next batch larger, and a row of a batch of
// 400,000 costs less than half of one of 50,000. Nobody waits for SQL; if someone does, or the outbox fills, there is no rest.
Result<bool> MemoryLive::flush_when_due() {
  bool is_filling = journal_->stats().backlog_bytes > outbox_bytes_max_ / 2;
  auto began = clock_.steady();
  if (!is_flush_wanted_.exchange(false) && !is_filling && began < flush_rest_until_) return false;
  auto more = flusher_.run_once();
  if (more && projection_) projection_task_.wake();
  if (more && !projection_) pass();
  auto ended = clock_.steady();
  flush_rest_until_ = ended + (ended - began) * kFlushRest;
  return more;
}

Result<bool> MemoryLive::project() {
  if (!projection_) {
    pass();
    return false;
  }
  auto moved = projection_->run_once();
  if (!moved) return std::unexpected(moved.error());
  auto cursor = projection_->cursor();
  if (!cursor) return std::unexpected(cursor.error());
  projected_ = *cursor;
  pass();
  return *moved > 0;
}

// What all consumers have passed may leave the journal, and the posts it touched may leave memory.
void MemoryLive::pass() {
  auto passed = projection_ ? std::min<outbox::Sequence>(flusher_.flushed(), projected_) : flusher_.flushed();
  if (passed <= passed_) return;
  store_.on_passed(passed);
  journal_->trim(passed);
  passed_ = passed;
}

Result<bool> MemoryLive::keep_house() {
  store_.evict();
  if (clock_.steady() >= last_prune_ + kPrunePeriod) {
    last_prune_ = clock_.steady();
    store_.prune_idempotency();
  }
  return false;
}

likes::LikesOf MemoryLive::likes_of() {
  return likes::likes_by_journal(sql_.ledger(), *journal_, flusher_);
}

content::ReadDirty MemoryLive::dirty() {
  return [dirty = std::make_shared<LiveDirtyPosts>(store_)] { return at_once(dirty); };
}

Task<Result<void>> MemoryLive::flush() {
  auto wanted = journal_->durable_mark();
  auto deadline = std::chrono::steady_clock::now() + kFlushTimeout;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
      co_await boost::asio::this_coro::executor);
  while (passed_ < wanted) {
    if (std::chrono::steady_clock::now() > deadline) co_return fail(ErrorCode::kUnavailable, "SQL is behind and does not catch up");
    is_flush_wanted_ = true;
    flush_task_.wake();
    timer.expires_after(kFlushPoll);
    co_await timer.async_wait(use_task);
  }
  co_return Result<void>{};
}

Result<void> MemoryLive::is_ready() const {
  if (!journal_->is_accepting()) return fail(ErrorCode::kUnavailable, "the journal cannot be written");
  return {};
}

LiveStats MemoryLive::stats() const {
  auto flusher = flusher_.stats();
  return {.changes = store_.stats().changes,
          .outbox_bytes = journal_->stats().backlog_bytes,
          .outbox_entries = journal_->durable_mark() - std::min<outbox::Sequence>(passed_, journal_->durable_mark()),
          .flush_batches = flusher.batches,
          .flush_events = flusher.events,
          .flush_posts = flusher.posts,
          .flush_rows = flusher.rows,
          .flush_gaps = flusher.gaps,
          .flush_micros = flusher.micros,
          .is_degraded = false};
}

void MemoryLive::add_metrics(Metrics& metrics) const {
  auto likes = store_.stats();
  metrics.gauge("hearth_likes_resident_posts", "Posts in memory.", likes.posts);
  metrics.gauge("hearth_likes_resident_sessions", "Sessions in memory.", likes.sessions);
  metrics.gauge("hearth_likes_memory_bytes", "Memory of likes, as live.memory_limit counts it.", likes.bytes);
  metrics.gauge("hearth_likes_cold_posts", "Posts that the ledger knows and memory does not hold.", likes.cold_posts);
  metrics.counter("hearth_likes_loads_total", "Posts loaded from the ledger.", likes.loads);
  metrics.counter("hearth_likes_evictions_total", "Posts that left memory.", likes.evictions);

  auto journal = journal_->stats();
  metrics.counter("hearth_journal_commits_total", "Batches committed.", journal.commits);
  metrics.counter("hearth_journal_failed_commits_total", "Batches lost to a failed commit.", journal.failed_commits);
  metrics.seconds("hearth_journal_commit_seconds_total", "Time spent committing.", journal.commit_micros);
  metrics.gauge("hearth_journal_accepting", "1 while changes are accepted.", journal_->is_accepting() ? 1 : 0);
}

}  // namespace hearth::app
