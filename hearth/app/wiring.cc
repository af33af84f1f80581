#include "hearth/app/wiring.h"

#include <utility>

#include "hearth/api/media_routes.h"
#include "hearth/app/adoption/diagnosis_routes.h"
#include "hearth/app/dataset/demo.h"
#include "hearth/app/memory_live.h"
#include "hearth/app/metrics.h"
#include "hearth/app/postgres_sql.h"
#include "hearth/app/redis_live.h"
#include "hearth/app/sqlite_sql.h"
#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

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

Task<Result<std::string>> synced_views(Views& views) {
  auto report = co_await views.sync();
  if (!report) co_return std::unexpected(report.error());
  co_return api::to_json(*report);
}

// Takes the base class's place: a Result of one does not convert by itself.
template <typename Base, typename Derived>
Result<std::unique_ptr<Base>> as(Result<std::unique_ptr<Derived>> derived) {
  if (!derived) return std::unexpected(derived.error());
  return std::unique_ptr<Base>(*std::move(derived));
}

Result<std::unique_ptr<Live>> open_live(const Config& config, const Clock& clock, Sql& sql, const std::string& vfs) {
  if (config.live.store == LiveStore::kMemory) return as<Live>(MemoryLive::open(config.data, config, clock, sql, vfs));
  if (auto projected = sql.project(); !projected) return std::unexpected(projected.error());
  return as<Live>(RedisLive::open(config, clock,
                                  {.ledger = sql.ledger(),
                                   .inbox = sql.inbox(),
                                   .control = sql.control(),
                                   .leases = sql.leases(),
                                   .view_ledger = sql.view_ledger(),
                                   .view_inbox = sql.view_inbox(),
                                   .on_flushed = [&sql](std::vector<std::string> posts) { return sql.on_flushed(std::move(posts)); }}));
}

}  // namespace

Result<std::unique_ptr<Sql>> open_sql(const Config& config, const Clock& clock, const std::string& vfs) {
  if (config.database.url) return as<Sql>(PostgresSql::open(config, clock));
  return as<Sql>(SqliteSql::open(config, clock, vfs));
}

Result<std::unique_ptr<Hearth>> Hearth::open(const Config& config, const Clock& clock, const std::string& vfs) {
  auto folder = DataFolder::lock(config.data);
  if (!folder) return std::unexpected(folder.error());
  auto sql = open_sql(config, clock, vfs);
  if (!sql) return std::unexpected(sql.error());
  if (auto adopted = (*sql)->is_adopted(); !adopted) return std::unexpected(adopted.error());
  auto live = open_live(config, clock, **sql, vfs);
  if (!live) return std::unexpected(live.error());

  std::unique_ptr<Hearth> hearth(new Hearth(config, clock, *std::move(folder), *std::move(sql), *std::move(live)));
  auto background_jobs = BackgroundJobs::open(config, clock, *hearth->sql,
                                              {.likes = [h = hearth.get()](PostId post) { return h->sync_likes(std::move(post)); },
                                               .views = [h = hearth.get()] { return synced_views(h->views); }});
  if (!background_jobs) return std::unexpected(background_jobs.error());
  hearth->background_jobs = *std::move(background_jobs);
  if (auto started = hearth->live->start(); !started) return std::unexpected(started.error());
  if (auto started = hearth->views.start(); !started) return std::unexpected(started.error());
  auto limits = Limits::open(config, clock, *hearth->sql, *hearth->live);
  if (!limits) return std::unexpected(limits.error());
  hearth->limits = *std::move(limits);
  return hearth;
}

Hearth::Hearth(const Config& config, const Clock& clock_in, DataFolder folder_in, std::unique_ptr<Sql> sql_in,
               std::unique_ptr<Live> live_in)
    : clock(clock_in),
      folder(std::move(folder_in)),
      sql(std::move(sql_in)),
      live(std::move(live_in)),
      rank(sql->rank(live->dirty())),
      likes(live->store(), live->likes_of(),
            config.likes.require_post ? likes::PostExists([this](PostId post) { return sql->pages().exists(std::move(post)); }) : nullptr),
      views(config, clock_in, *sql, *live),
      reconciler(
          live->store(), live->posts(), sql->ledger(), [this] { return live->flush(); },
          [this](std::string post) { return sql->on_repaired(std::move(post)); }),
      sql_diagnosis(sql->diagnosis()),
      diagnoser(*sql_diagnosis, {.counts = [this](std::vector<std::string> posts) { return live->posts().counts(std::move(posts)); },
                                 .scan = [this](std::string from) { return live->posts().scan(std::move(from)); },
                                 .settle = [this] { return live->flush(); }}),
      scheduled_reconcile(reconciler, [this] { return live->flush(); }, config.reconcile, clock_in) {}

Hearth::~Hearth() {
  stop();
}

void Hearth::stop() {
  if (std::exchange(is_stopped_, true)) return;
  scheduled_reconcile.stop();
  if (background_jobs) background_jobs->stop();
  views.stop();
  if (limits) limits->stop();
  live->stop();
  views.abandon_waiters();
  sql->stop();
}

Task<Result<void>> Hearth::sync_likes(PostId post) {
  auto report = co_await reconciler.reconcile(std::move(post));
  if (!report) co_return std::unexpected(report.error());
  co_return Result<void>{};
}

Result<void> Hearth::is_ready() const {
  return live->is_ready();
}

Result<void> Hearth::is_whole() const {
  if (live->is_degraded()) return fail(ErrorCode::kUnavailable, "Redis is away; likes are kept in SQL meanwhile");
  return sql->is_reachable();
}

Result<void> Hearth::load_demo() {
  auto is_loaded = run_to_end(sql->pages().exists(PostId::trusted(dataset::kDemoPost)));
  if (!is_loaded) return std::unexpected(is_loaded.error());
  if (*is_loaded) return {};
  dataset::Importer importer({sql->content(), sql->pages(), sql->stories(), &live->store()}, {});
  if (auto fed = run_to_end(importer.feed(dataset::demo_dataset(clock.now()))); !fed) return fed;
  if (auto finished = run_to_end(importer.finish()); !finished) return finished;
  auto report = importer.report();
  if (report.bad_total > 0) return fail(ErrorCode::kInternal, "the demo data does not fit: " + report.bad.front().reason);
  log::info("app", "loaded the demo data", {{"users", report.users}, {"posts", report.posts}, {"likes", report.ratings}});
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
  if (auto started = hearth.limits->start(); !started) return std::unexpected(started.error());
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
      routes_(router_, *authenticator_, config.auth.public_reads, config.cors.origins, &hearth.limits->of_routes()),
      likes_{.service = hearth.likes,
             .reconciler = hearth.reconciler,
             .authors_of = [this](std::vector<std::string> posts) { return authors_of(hearth_.sql->pages(), std::move(posts)); },
             .is_degraded = [this] { return hearth_.live->is_degraded(); }},
      content_{.store = hearth.sql->content(),
               .pages = hearth.sql->pages(),
               .rank = *hearth.rank,
               .likes = hearth.likes,
               .clock = hearth.clock,
               .is_degraded = [this] { return hearth_.live->is_degraded(); }},
      operations_{.is_ready = [this]() -> Result<void> {
                    if (is_draining_) return fail(ErrorCode::kUnavailable, "stopping");
                    return hearth_.is_ready();
                  },
                  .is_whole = [this] { return hearth_.is_whole(); },
                  .metrics = [this] { return render_metrics(hearth_, server_->stats()); }},
      jobs_{.queue = hearth.sql->job_queue(),
            .admin = hearth.sql->job_admin(),
            .scheduler = hearth.background_jobs->scheduler(),
            .schedules = hearth.sql->schedules(),
            .signal = hearth.sql->job_signal(),
            .handlers = hearth.background_jobs->handlers(),
            .process = [this](std::size_t limit,
                              std::chrono::milliseconds budget) { return hearth_.background_jobs->runner().process(limit, budget); },
            .check_url = [](std::string_view url, std::string_view field) { return web::check_url(url, field); },
            .clock = hearth.clock},
      keyed_answers_(hearth.sql->keyed_answers()),
      views_{.service = hearth.views.service(),
             .buffered = hearth.live->buffered_views(),
             .sync = [this] { return hearth_.views.sync(); },
             .stories = hearth.sql->stories(),
             .keyed_answers = keyed_answers_,
             .address_of = [this](const http::Request& request) { return hearth_.limits->address_of(request); },
             .is_degraded = [this] { return hearth_.live->is_degraded(); }},
      ratelimit_{.service = hearth.limits->service(),
                 .book = hearth.limits->book(),
                 .limits = hearth.limits->of_routes(),
                 .keyed_answers = &keyed_answers_},
      dataset_{.target = {hearth.sql->content(), hearth.sql->pages(), hearth.sql->stories(), &hearth.live->store()},
               .flush = [this] { return hearth_.live->flush(); }} {
  api::add_likes_routes(routes_, likes_);
  api::add_content_routes(routes_, content_);
  api::add_jobs_routes(routes_, jobs_);
  api::add_views_routes(routes_, views_);
  api::add_ratelimit_routes(routes_, ratelimit_);
  api::add_media_routes(routes_, hearth.background_jobs->images());
  api::add_operations_routes(router_, routes_, operations_);
  dataset::add_dataset_routes(routes_, dataset_);
  adoption::add_diagnosis_routes(routes_, hearth.diagnoser);
}

void Service::stop(std::chrono::milliseconds grace) {
  is_draining_ = true;
  hearth_.background_jobs->stop();  // which ends the claims that wait for jobs
  server_->stop(grace);
  keyed_answers_.abandon_waiters();
}

}  // namespace hearth::app
