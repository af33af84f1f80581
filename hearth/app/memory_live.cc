#include "hearth/app/memory_live.h"

#include <unistd.h>

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
constexpr auto kFlushRetryMax = 2s;   // while SQL is away
constexpr auto kInboxPeriod = 500ms;  // until what another program wrote to the ratings is seen
constexpr auto kLeaseRenewal = outbox::kLeaseDuration / 4;

// Dirty posts as memory has them at every moment.
class LiveDirtyPosts final : public content::DirtyPosts {
 public:
  explicit LiveDirtyPosts(const likes::MemoryLikeStore& store) : store_(store) {}
  bool is_dirty(std::string_view post) const override { return store_.is_dirty(post); }
  std::vector<std::string> above(std::uint32_t likes, std::size_t limit) const override { return store_.dirty_above(likes, limit); }

 private:
  const likes::MemoryLikeStore& store_;
};

// Of a lease: the journal, and where it is, so that the copy of a folder is another owner.
std::string owner_name(const std::string& journal_id, const std::filesystem::path& folder) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  std::error_code error;
  return journal_id + "@" + host + ":" + std::filesystem::absolute(folder, error).string();
}

Task<Result<std::shared_ptr<const content::DirtyPosts>>> at_once(std::shared_ptr<const content::DirtyPosts> dirty) {
  co_return dirty;
}

}  // namespace

Result<std::unique_ptr<MemoryLive>> MemoryLive::open(const std::filesystem::path& folder, const Config& config, const Clock& clock,
                                                     Sql& sql, const std::string& vfs) {
  auto journal = outbox::Journal::open(
      {.path = folder / "journal.db", .vfs = vfs, .durability = config.durability, .outbox_bytes_max = config.outbox.bytes_max});
  if (!journal) return std::unexpected(journal.error());
  auto views_file = views::ViewsFile::open(folder / "views.db", vfs);
  if (!views_file) return std::unexpected(views_file.error());
  auto owner = owner_name((*journal)->id(), folder);
  return std::unique_ptr<MemoryLive>(new MemoryLive(*std::move(journal), *std::move(views_file), std::move(owner), config, clock, sql));
}

MemoryLive::MemoryLive(std::unique_ptr<outbox::Journal> journal, std::unique_ptr<views::ViewsFile> views_file, std::string owner,
                       const Config& config, const Clock& clock, Sql& sql)
    : clock_(clock),
      sql_(sql),
      outbox_bytes_max_(config.outbox.bytes_max),
      journal_(std::move(journal)),
      views_file_(std::move(views_file)),
      owner_(std::move(owner)),
      flusher_(*journal_, sql.ledger()),
      store_(*journal_, sql.ledger(), clock,
             {.memory_limit = config.live.memory_limit, .idempotency_bytes_max = config.idempotency.bytes_max}),
      posts_(store_),
      drainer_(sql.inbox(), [this](auto changes) { return store_.change_all(std::move(changes)); }),
      view_flusher_(*journal_, *views_file_, clock, config.views.dedup_ttl,
                    [this] {
                      is_view_flush_wanted_ = true;
                      view_flush_task_.wake();
                    }),
      view_store_(*journal_, *views_file_, view_flusher_, sql.view_ledger(), clock,
                  {.window = config.views.dedup_ttl, .seen_bytes_max = config.views.dedupe_bytes_max}),
      listeners_(store_, view_store_),
      flush_task_({.name = "flusher",
                   .period = std::min<std::chrono::milliseconds>(config.flush.interval, kLeaseRenewal),
                   .retry_max = kFlushRetryMax},
                  [this] { return flush_step(); }),
      view_flush_task_({.name = "view-flusher", .period = config.flush.interval, .retry_max = kFlushRetryMax},
                       [this] { return flush_views_when_due(); }),
      projection_task_({.name = "projection", .period = config.flush.interval}, [this] { return project(); }),
      housekeeping_task_({.name = "likes", .period = kHousekeepingPeriod}, [this] { return keep_house(); }),
      inbox_task_({.name = "inbox", .period = kInboxPeriod}, [this] { return drainer_.run_once(); }),
      projection_(sql.projection(
          *journal_, [this]() -> Result<outbox::Sequence> { return flusher_.flushed(); }, [this] { projection_task_.wake(); })) {}

MemoryLive::~MemoryLive() {
  stop();
}

// --- the lease ---

Result<void> MemoryLive::claim_journal_partition() {
  if (auto alone = check_alone(); !alone) return alone;
  auto last_owner = sql_.leases().last_owner(outbox::kJournalPartition);
  if (!last_owner) return std::unexpected(last_owner.error());
  if (auto followed = check_followed(*last_owner); !followed) return followed;
  return renew_lease();
}

// Hearths that have their likes in Redis hold other partitions.
Result<void> MemoryLive::check_alone() {
  auto mode = sql_.control().mode();
  if (!mode) return std::unexpected(mode.error());
  auto is_redis_served = sql_.control().is_healthy_elsewhere(owner_);
  if (!is_redis_served) return std::unexpected(is_redis_served.error());
  if (*mode == likes::LiveMode::kLive && !*is_redis_served) return {};
  return fail(ErrorCode::kConflict, *is_redis_served
                                        ? "the likes of this database are in Redis, and are served from there now; give --redis-url"
                                        : "the likes of this database are in a Redis that is away; give --redis-url");
}

// The ledger's cursor belongs to the journal whose entry it names. Ours may have lost that entry in a power cut (durability
// relaxed), but then we are the last owner.
Result<void> MemoryLive::check_followed(const std::string& last_owner) {
  auto cursor = sql_.ledger().cursor(outbox::kJournalPartition);
  if (!cursor) return std::unexpected(cursor.error());
  if (cursor->position == outbox::Position{} || last_owner == owner_) return {};
  auto checksum = journal_->checksum_at(cursor->position.major);
  if (!checksum) return std::unexpected(checksum.error());
  auto entries = journal_->read(0, 1);
  if (!entries) return std::unexpected(entries.error());
  if (*checksum == cursor->checksum || entries->empty()) return {};
  return fail(ErrorCode::kConflict,
              "the database has followed another journal, and this data folder's still holds likes that may not be in it; start from the "
              "folder that it has followed" +
                  (last_owner.empty() ? "" : " (" + last_owner + ")") + ", or move journal.db away and lose what only it holds");
}

// Claiming what we hold renews it, under another fence.
Result<void> MemoryLive::renew_lease() {
  auto held = sql_.leases().claim(owner_, outbox::kJournalPartition);
  if (held) {
    flusher_.use(held->lease);
    renewal_due_ = clock_.steady() + kLeaseRenewal;
    return {};
  }
  if (held.error().code != ErrorCode::kConflict) return std::unexpected(held.error());
  is_lease_lost_ = true;
  return fail(ErrorCode::kConflict, "another Hearth has its likes in this database, and only one can keep them in memory: " +
                                        held.error().message + "; stop it and wait for the end of its lease, or use Redis for both");
}

// --- into SQL ---

// Everything that was answered before the last end is in the journal. Once the ledger has it all, any post can be loaded.
Result<void> MemoryLive::start() {
  if (sql_.is_shared()) {
    if (auto claimed = claim_journal_partition(); !claimed) return claimed;
  }
  auto flushed = flusher_.start();
  if (!flushed) return std::unexpected(flushed.error());
  auto projected = projection_ ? projection_->cursor() : *flushed;
  if (!projected) return std::unexpected(projected.error());
  auto views_flushed = view_flusher_.start();
  if (!views_flushed) return std::unexpected(views_flushed.error());
  journal_->start(std::max({*flushed, *projected, *views_flushed}), &listeners_);

  if (auto drained = drain(); !drained) return drained;
  if (auto started = store_.start(); !started) return started;
  if (auto started = view_store_.start(); !started) return started;
  is_started_ = true;
  flush_task_.start();
  view_flush_task_.start();
  if (projection_) projection_task_.start();
  housekeeping_task_.start();
  if (sql_.is_shared()) inbox_task_.start();
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
  for (bool more = true; more;) {
    auto step = view_flusher_.run_once();
    if (!step) return std::unexpected(step.error());
    more = *step;
  }
  trim();
  return {};
}

void MemoryLive::stop() {
  if (std::exchange(is_stopped_, true)) return;
  inbox_task_.stop();
  housekeeping_task_.stop();
  projection_task_.stop();
  view_flush_task_.stop();
  flush_task_.stop();
  journal_->stop();
  // So that the next start has nothing to catch up with.
  auto drained = is_started_ ? drain() : Result<void>();
  if (!drained) log::warning("app", "SQL is behind; it follows at the next start", {{"error", drained.error().message}});
  views_file_->stop();
  journal_->abandon_waiters();
  store_.abandon_waiters();
  view_store_.abandon_waiters();
  view_flusher_.abandon_waiters();
}

Result<bool> MemoryLive::flush_step() {
  if (sql_.is_shared() && !is_lease_lost_ && clock_.steady() >= renewal_due_) {
    if (auto renewed = renew_lease(); !renewed) return std::unexpected(renewed.error());
  }
  return flush_when_due();
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

// The same for views; here someone may wait for it: whoever reads hours, or brings views to SQL.
Result<bool> MemoryLive::flush_views_when_due() {
  bool is_filling = journal_->stats().backlog_bytes > outbox_bytes_max_ / 2;
  auto began = clock_.steady();
  if (!is_view_flush_wanted_.exchange(false) && !is_filling && began < view_flush_rest_until_) return false;
  auto more = view_flusher_.run_once();
  if (more && *more) is_view_flush_wanted_ = true;  // it is behind
  trim();
  auto ended = clock_.steady();
  view_flush_rest_until_ = ended + (ended - began) * kFlushRest;
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

// The posts that were touched by what all that follow likes have passed may leave memory.
void MemoryLive::pass() {
  auto passed = projection_ ? std::min<outbox::Sequence>(flusher_.flushed(), projected_) : flusher_.flushed();
  if (passed <= passed_) return;
  store_.on_passed(passed);
  passed_ = passed;
  trim();
}

// What all consumers have passed may leave the journal.
void MemoryLive::trim() {
  journal_->trim(std::min<outbox::Sequence>(passed_, view_flusher_.flushed()));
}

Result<bool> MemoryLive::keep_house() {
  store_.evict();
  view_store_.evict();
  if (clock_.steady() < last_prune_ + kPrunePeriod) return false;
  last_prune_ = clock_.steady();
  store_.prune_idempotency();
  for (bool more = true; more;) {
    auto pruned = views_file_->prune(clock_.now());
    if (!pruned) return pruned;
    more = *pruned;
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
  if (is_lease_lost_) return fail(ErrorCode::kUnavailable, "another Hearth has taken the likes in the database");
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

  auto views = view_store_.memory_stats();
  auto view_flushes = view_flusher_.stats();
  metrics.counter("hearth_views_counted_total", "Views that this process counted.", views.counted);
  metrics.counter("hearth_views_repeated_total", "Views of viewers who were seen within the window.", views.repeated);
  metrics.gauge("hearth_views_resident_items", "Stories and chapters in memory.", views.items);
  metrics.gauge("hearth_views_memory_bytes", "Memory of their totals.", views.item_bytes);
  metrics.counter("hearth_views_loads_total", "Stories and chapters loaded into memory.", views.loads);
  metrics.counter("hearth_views_evictions_total", "Stories and chapters that left memory.", views.evictions);
  metrics.gauge("hearth_views_seen_viewers", "Viewers of the last windows, as often as each was seen.", views.seen);
  metrics.gauge("hearth_views_seen_bytes", "Memory of them, as views.dedupe_bytes_max counts it.", views.seen_bytes);
  metrics.counter("hearth_views_seen_refusals_total", "Views that were refused because that memory was full.", views.seen_refusals);
  metrics.counter("hearth_views_flush_batches_total", "Transactions of views.db.", view_flushes.batches);
  metrics.counter("hearth_views_flush_events_total", "Views in them.", view_flushes.events);
  metrics.seconds("hearth_views_flush_seconds_total", "Time spent in them.", view_flushes.micros);

  auto journal = journal_->stats();
  metrics.counter("hearth_journal_commits_total", "Batches committed.", journal.commits);
  metrics.counter("hearth_journal_failed_commits_total", "Batches lost to a failed commit.", journal.failed_commits);
  metrics.seconds("hearth_journal_commit_seconds_total", "Time spent committing.", journal.commit_micros);
  metrics.gauge("hearth_journal_accepting", "1 while changes are accepted.", journal_->is_accepting() ? 1 : 0);
}

}  // namespace hearth::app
