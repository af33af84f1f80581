#include "hearth/app/wiring.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "hearth/app/dataset/demo.h"
#include "hearth/app/metrics.h"
#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/content/stores/content_database.h"

namespace hearth::app {
namespace {

using namespace std::chrono_literals;

constexpr auto kFlushTimeout = 30s;
constexpr auto kFlushPoll = 2ms;
constexpr int kFlushRest = 4;  // times as long as the flush took
constexpr auto kHousekeepingPeriod = 100ms;
constexpr auto kPrunePeriod = 60s;

Task<Result<std::vector<std::string>>> authors_of(content::ContentPages& pages, std::vector<std::string> posts) {
  std::vector<PostId> ids;
  ids.reserve(posts.size());
  for (auto& post : posts) ids.push_back(PostId::trusted(post));
  auto known = co_await pages.posts(std::move(ids));
  if (!known) co_return std::unexpected(known.error());
  std::vector<std::string> authors(posts.size());
  std::size_t next = 0;  // `known` is in the order asked
  for (std::size_t i = 0; i < posts.size() && next < known->size(); ++i) {
    if ((*known)[next].id.view() == posts[i]) authors[i] = (*known)[next++].author.str();
  }
  co_return authors;
}

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

Result<std::unique_ptr<Hearth>> Hearth::open(const Config& config, const Clock& clock, const std::string& vfs) {
  auto folder = DataFolder::lock(config.data);
  if (!folder) return std::unexpected(folder.error());
  auto journal = outbox::Journal::open(
      {.path = folder->file("journal.db"), .vfs = vfs, .durability = config.durability, .outbox_bytes_max = config.outbox.bytes_max});
  if (!journal) return std::unexpected(journal.error());
  auto ledger = likes::SqliteLikeLedger::open(folder->file("ratings.db"), vfs);
  if (!ledger) return std::unexpected(ledger.error());
  auto content = content::open_content_database(folder->file("content.db"), vfs);
  if (!content) return std::unexpected(content.error());

  std::unique_ptr<Hearth> hearth(
      new Hearth(config, clock, *std::move(folder), *std::move(journal), *std::move(ledger), *std::move(content)));
  if (auto recovered = hearth->recover(); !recovered) return std::unexpected(recovered.error());
  return hearth;
}

Hearth::Hearth(const Config& config, const Clock& clock_in, DataFolder folder_in, std::unique_ptr<outbox::Journal> journal_in,
               std::unique_ptr<likes::SqliteLikeLedger> ledger_in, std::unique_ptr<sqlite::Database> content_in)
    : clock(clock_in),
      folder(std::move(folder_in)),
      journal(std::move(journal_in)),
      ledger(std::move(ledger_in)),
      content(std::move(content_in)),
      flusher(*journal, *ledger),
      like_store(*journal, *ledger, clock,
                 {.memory_limit = config.live.memory_limit, .idempotency_bytes_max = config.idempotency.bytes_max}),
      live_posts(like_store),
      pages(*content),
      projection(*content, *journal,
                 {.cursor = [this]() -> Result<outbox::Sequence> { return flusher.flushed(); },
                  .counts = [this](std::vector<std::string> posts) -> Result<std::vector<content::PostCount>> {
                    auto heads = ledger->heads_blocking(posts);
                    if (!heads) return std::unexpected(heads.error());
                    std::vector<content::PostCount> counts;
                    counts.reserve(heads->size());
                    for (auto& head : *heads) counts.push_back({std::move(head.post), head.likes, head.version});
                    return counts;
                  }}),
      flush_task({.name = "flusher", .period = config.flush.interval}, [this] { return flush_when_due(); }),
      projection_task({.name = "projection", .period = config.flush.interval}, [this] { return project(); }),
      housekeeping_task({.name = "likes", .period = kHousekeepingPeriod}, [this] { return keep_house(); }),
      content_store(*content, clock, [this] { projection_task.wake(); }),
      rank(*content, [dirty = std::make_shared<LiveDirtyPosts>(like_store)] { return at_once(dirty); }),
      likes(like_store, likes::likes_by_journal(*ledger, *journal, flusher),
            config.likes.require_post ? likes::PostExists([this](PostId post) { return pages.exists(std::move(post)); }) : nullptr),
      reconciler(
          like_store, live_posts, *ledger, [this] { return flush(); },
          [this](std::string post) { return content_store.distrust_likes(PostId::trusted(std::move(post))); }),
      outbox_bytes_max_(config.outbox.bytes_max) {}

Hearth::~Hearth() {
  stop();
}

// Everything that was answered before the last end is in the journal. Once the ledger has it all, any post can be loaded.
Result<void> Hearth::recover() {
  auto ledger_cursor = flusher.start();
  if (!ledger_cursor) return std::unexpected(ledger_cursor.error());
  auto content_cursor = projection.cursor();
  if (!content_cursor) return std::unexpected(content_cursor.error());
  journal->start(std::max(*ledger_cursor, *content_cursor), &like_store);

  if (auto drained = drain(); !drained) return drained;
  if (auto started = like_store.start(); !started) return started;
  flush_task.start();
  projection_task.start();
  housekeeping_task.start();
  return {};
}

// Brings both consumers to the end of the journal.
Result<void> Hearth::drain() {
  for (bool more = true; more;) {
    auto step = flusher.run_once();
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

void Hearth::stop() {
  if (std::exchange(is_stopped_, true)) return;
  housekeeping_task.stop();
  projection_task.stop();
  flush_task.stop();
  journal->stop();
  // So that the next start has nothing to catch up with.
  if (auto drained = drain(); !drained) {
    log::warning("app", "SQL is behind; it follows at the next start", {{"error", drained.error().message}});
  }
  ledger->stop();
  content->stop();
  journal->abandon_waiters();
  like_store.abandon_waiters();
}

// A flush that took long is followed by a rest: what gathers meanwhile makes the next batch larger, and a row of a batch of
// 400,000 costs less than half of one of 50,000. Nobody waits for SQL; if someone does, or the outbox fills, there is no rest.
Result<bool> Hearth::flush_when_due() {
  bool is_filling = journal->stats().backlog_bytes > outbox_bytes_max_ / 2;
  auto began = clock.steady();
  if (!is_flush_wanted_.exchange(false) && !is_filling && began < flush_rest_until_) return false;
  auto more = flusher.run_once();
  if (more) projection_task.wake();
  auto ended = clock.steady();
  flush_rest_until_ = ended + (ended - began) * kFlushRest;
  return more;
}

Result<bool> Hearth::project() {
  auto moved = projection.run_once();
  if (!moved) return std::unexpected(moved.error());
  auto cursor = projection.cursor();
  if (!cursor) return std::unexpected(cursor.error());
  projected_ = *cursor;
  pass();
  return *moved > 0;
}

// What all consumers have passed may leave the journal, and the posts it touched may leave memory.
void Hearth::pass() {
  auto passed = std::min<outbox::Sequence>(flusher.flushed(), projected_);
  if (passed <= passed_) return;
  like_store.on_passed(passed);
  journal->trim(passed);
  passed_ = passed;
}

Result<bool> Hearth::keep_house() {
  like_store.evict();
  if (clock.steady() >= last_prune_ + kPrunePeriod) {
    last_prune_ = clock.steady();
    like_store.prune_idempotency();
  }
  return false;
}

Result<void> Hearth::load_demo() {
  auto is_loaded = run_to_end(pages.exists(PostId::trusted(dataset::kDemoPost)));
  if (!is_loaded) return std::unexpected(is_loaded.error());
  if (*is_loaded) return {};
  dataset::Importer importer({content_store, pages, &like_store}, {});
  if (auto fed = run_to_end(importer.feed(dataset::demo_dataset(clock.now()))); !fed) return fed;
  if (auto finished = run_to_end(importer.finish()); !finished) return finished;
  auto report = importer.report();
  if (report.bad_total > 0) return fail(ErrorCode::kInternal, "the demo data does not fit: " + report.bad.front().reason);
  log::info("app", "loaded the demo data", {{"users", report.users}, {"posts", report.posts}, {"likes", report.ratings}});
  return {};
}

Task<Result<void>> Hearth::flush() {
  auto wanted = journal->durable_mark();
  auto deadline = std::chrono::steady_clock::now() + kFlushTimeout;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
      co_await boost::asio::this_coro::executor);
  while (passed_ < wanted) {
    if (std::chrono::steady_clock::now() > deadline) co_return fail(ErrorCode::kUnavailable, "SQL is behind and does not catch up");
    is_flush_wanted_ = true;
    flush_task.wake();
    timer.expires_after(kFlushPoll);
    co_await timer.async_wait(use_task);
  }
  co_return Result<void>{};
}

Result<void> Hearth::is_ready() const {
  if (!journal->is_accepting()) return fail(ErrorCode::kUnavailable, "the journal cannot be written");
  return {};
}

// --- HTTP ---

Result<std::unique_ptr<Service>> Service::open(const Config& config, Hearth& hearth) {
  auto authenticator = auth::Authenticator::open({.service_key = config.auth.service_key,
                                                  .admin_key = config.auth.admin_key,
                                                  .viewer_key = config.auth.viewer_key,
                                                  .cron_secret = config.auth.cron_secret,
                                                  .jwt_secret = config.auth.jwt_secret,
                                                  .jwks_file = config.auth.jwks_file},
                                                 hearth.clock);
  if (!authenticator) return std::unexpected(authenticator.error());
  std::unique_ptr<Service> service(new Service(config, hearth, *std::move(authenticator)));
  auto server = http::Server::open({.host = config.listen.host,
                                    .port = config.listen.port,
                                    .threads = config.http.threads,
                                    .header_bytes_max = config.http.header_bytes_max,
                                    .body_bytes_max = config.http.body_bytes_max,
                                    .connections_max = config.http.connections_max,
                                    .idle_timeout = config.http.idle_timeout,
                                    .request_timeout = config.http.request_timeout,
                                    .write_timeout = config.http.write_timeout,
                                    .cors_origins = config.cors.origins},
                                   service->router_, hearth.clock);
  if (!server) return std::unexpected(server.error());
  service->server_ = *std::move(server);
  return service;
}

Service::Service(const Config& config, Hearth& hearth, std::unique_ptr<auth::Authenticator> authenticator)
    : hearth_(hearth),
      authenticator_(std::move(authenticator)),
      routes_(router_, *authenticator_, config.auth.public_reads, config.cors.origins),
      likes_{.service = hearth.likes,
             .reconciler = hearth.reconciler,
             .authors_of = [this](std::vector<std::string> posts) { return authors_of(hearth_.pages, std::move(posts)); }},
      content_{.store = hearth.content_store, .pages = hearth.pages, .rank = hearth.rank, .likes = hearth.likes, .clock = hearth.clock},
      operations_{.is_ready = [this]() -> Result<void> {
                    if (is_draining_) return fail(ErrorCode::kUnavailable, "stopping");
                    return hearth_.is_ready();
                  },
                  .metrics = [this] { return render_metrics(hearth_, server_->stats()); }},
      dataset_{.target = {hearth.content_store, hearth.pages, &hearth.like_store}, .flush = [this] { return hearth_.flush(); }} {
  api::add_likes_routes(routes_, likes_);
  api::add_content_routes(routes_, content_);
  api::add_operations_routes(router_, routes_, operations_);
  dataset::add_dataset_routes(routes_, dataset_);
}

void Service::stop(std::chrono::milliseconds grace) {
  is_draining_ = true;
  server_->stop(grace);
}

}  // namespace hearth::app
