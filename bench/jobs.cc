// Background jobs through the library, one figure a call; bench/jobs.py makes the databases and prints the report.
//
//   jobs_bench enqueue --at=sqlite:FOLDER --seconds=10 --clients=64

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "bench/measure.h"
#include "hearth/base/clock.h"
#include "hearth/base/run_to_end.h"
#include "hearth/content/stores/content_database.h"
#include "hearth/drivers/postgres/listener.h"
#include "hearth/drivers/postgres/migrations.h"
#include "hearth/jobs/job_runner.h"
#include "hearth/jobs/stores/postgres_job_admin.h"
#include "hearth/jobs/stores/postgres_job_queue.h"
#include "hearth/jobs/stores/sqlite_job_admin.h"
#include "hearth/jobs/stores/sqlite_job_queue.h"

namespace hearth::bench {
namespace {

using jobs::ClaimRequest;
using jobs::JobDraft;
using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kType = "bench";
constexpr std::size_t kBulk = 1'000;
static_assert(kBulk <= jobs::kJobsPerEnqueueMax && kBulk <= jobs::kJobsPerClaimMax);
constexpr seconds kStandstillMax{20};

struct Options {
  std::vector<std::string> places;  // sqlite:FOLDER, or a URL of PostgreSQL
  std::size_t jobs = 100'000;
  int seconds = 10;
  int clients = 64;
  std::size_t batch = 500;
  int concurrency = 4;
  int rate = 200;
  bool listens = false;
  pid_t postmaster = 0;
};

[[noreturn]] void die(std::string_view doing, const Error& error) {
  std::fprintf(stderr, "jobs_bench: %.*s: %s\n", static_cast<int>(doing.size()), doing.data(), error.message.c_str());
  std::exit(1);
}

template <typename T>
T need(Result<T> result, std::string_view doing) {
  if (!result) die(doing, result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

[[noreturn]] void wrong(const std::string& what) {
  die("the answer is wrong", {ErrorCode::kInternal, what});
}

// --- the queue on either database ---

class Place {
 public:
  virtual ~Place() = default;
  virtual jobs::JobQueue& queue() = 0;
  virtual jobs::JobAdmin& admin() = 0;
  virtual std::int64_t count_history() = 0;
  virtual std::string settings() = 0;

  jobs::JobSignal& signal() { return signal_; }

 protected:
  jobs::JobSignal signal_;
};

class SqlitePlace final : public Place {
 public:
  explicit SqlitePlace(const std::filesystem::path& folder)
      : database_(
            (std::filesystem::create_directories(folder), need(content::open_content_database(folder / "content.db"), "content.db"))) {}
  ~SqlitePlace() override { signal_.close(); }

  jobs::JobQueue& queue() override { return queue_; }
  jobs::JobAdmin& admin() override { return admin_; }
  std::int64_t count_history() override { return number("SELECT count(*) FROM job_history"); }
  std::string settings() override {
    constexpr const char* kLevels[] = {"OFF", "NORMAL", "FULL", "EXTRA"};
    return "WAL, synchronous=" + std::string(kLevels[number("PRAGMA synchronous")]);
  }

 private:
  std::int64_t number(const char* sql) {
    auto work = [sql](sqlite::Connection& connection) -> Result<std::int64_t> {
      auto& row = connection.statement(sql).query();
      if (!row.next()) return fail(ErrorCode::kInternal, "no row");
      std::int64_t value = row.integer(0);
      row.reset();
      return value;
    };
    return need(database_->write_blocking(work), sql);
  }

  SystemClock clock_;
  std::unique_ptr<sqlite::Database> database_;
  jobs::SqliteJobQueue queue_{*database_, clock_, signal_};
  jobs::SqliteJobAdmin admin_{*database_, clock_, signal_};
};

class PostgresPlace final : public Place {
 public:
  explicit PostgresPlace(const std::string& url)
      : database_(need(postgres::Database::open({.url = url, .connections = kConnections}), "url")) {
    need(postgres::migrate(*database_, postgres::kMigrations), "migrate");
  }
  ~PostgresPlace() override { signal_.close(); }

  jobs::JobQueue& queue() override { return queue_; }
  jobs::JobAdmin& admin() override { return admin_; }
  std::int64_t count_history() override {
    auto work = [](postgres::Connection& connection) -> Result<std::int64_t> {
      return connection.query("SELECT count(*) FROM job_history").first().integer(0);
    };
    return need(database_->read_blocking(work), "count");
  }
  std::string settings() override {
    auto work = [](postgres::Connection& connection) -> Result<std::string> {
      std::string all;
      for (const char* name : {"server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers"}) {
        if (!all.empty()) all += ", ";
        all += std::string(name) + "=" + connection.query("SELECT current_setting($1)", name).first().string(0);
      }
      return all;
    };
    return need(database_->read_blocking(work), "settings");
  }

 private:
  static constexpr int kConnections = 8;  // as database.connections

  std::unique_ptr<postgres::Database> database_;
  jobs::PostgresJobQueue queue_{*database_, signal_};
  jobs::PostgresJobAdmin admin_{*database_, signal_};
};

std::unique_ptr<Place> open(const std::string& place) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (place.starts_with(kSqlite)) return std::make_unique<SqlitePlace>(place.substr(kSqlite.size()));
  return std::make_unique<PostgresPlace>(place);
}

// --- jobs that know their number ---

JobDraft numbered(std::size_t number) {
  return {.type = kType, .payload = R"({"number":)" + std::to_string(number) + "}"};
}

struct Numbered {
  std::size_t number = 0;

  static Result<Numbered> parse(std::string_view payload) {
    Numbered parsed;
    auto digits = payload.substr(std::min(payload.find_first_of("0123456789"), payload.size()));
    if (std::from_chars(digits.data(), digits.data() + digits.size(), parsed.number).ec != std::errc()) {
      return fail(ErrorCode::kInvalidArgument, "no number");
    }
    return parsed;
  }
};

Task<void> enqueue_in_bulk(jobs::JobQueue& queue, std::size_t from, std::size_t to, std::size_t step, JobDraft like, Tally& tally) {
  for (std::size_t at = from; at < to; at += step) {
    std::vector<JobDraft> drafts;
    for (std::size_t number = at; number < std::min(at + kBulk, to); ++number) {
      drafts.push_back(like);
      drafts.back().payload = numbered(number).payload;
    }
    auto begin = Steady::now();
    auto made = co_await queue.enqueue(std::move(drafts));
    made ? tally.add(Steady::now() - begin) : tally.add_error(made.error());
  }
}

// Jobs 0 … count - 1 by so many callers.
Tally fill(Clients& clients, jobs::JobQueue& queue, std::size_t count, int callers, const JobDraft& like) {
  std::vector<Tally> tallies(static_cast<std::size_t>(callers));
  clients.run(callers, [&](int client) {
    auto i = static_cast<std::size_t>(client);
    return enqueue_in_bulk(queue, i * kBulk, count, kBulk * tallies.size(), like, tallies[i]);
  });
  Tally all;
  for (const Tally& tally : tallies) all.add(tally);
  if (all.errors() > 0) die("enqueue", {ErrorCode::kInternal, all.first_error()});
  return all;
}

// --- enqueue ---

Task<void> enqueue_until(jobs::JobQueue& queue, Steady::time_point end, std::size_t first, Tally& tally) {
  for (std::size_t number = first; Steady::now() < end; ++number) {
    std::vector<JobDraft> one{numbered(number)};
    auto begin = Steady::now();
    auto made = co_await queue.enqueue(std::move(one));
    made ? tally.add(Steady::now() - begin) : tally.add_error(made.error());
  }
}

void enqueue(Clients& clients, const Options& options) {
  auto place = open(options.places.front());
  std::vector<Tally> tallies(static_cast<std::size_t>(options.clients));
  Measurement measurement(options.postmaster);
  auto end = Steady::now() + seconds(options.seconds);
  clients.run(options.clients, [&](int client) {
    return enqueue_until(place->queue(), end, static_cast<std::size_t>(client) << 32, tallies[static_cast<std::size_t>(client)]);
  });
  Tally all;
  for (const Tally& tally : tallies) all.add(tally);
  measurement.report("enqueue", all.calls(), all);
  if (need(run_to_end(place->admin().stats()), "stats").pending != all.calls()) wrong("there are not as many jobs as were enqueued");
}

void bulk(Clients& clients, const Options& options) {
  auto place = open(options.places.front());
  Measurement measurement(options.postmaster);
  Tally tally = fill(clients, place->queue(), options.jobs, options.clients, {.type = kType});
  measurement.report("bulk", options.jobs, tally);
  if (need(run_to_end(place->admin().stats()), "stats").pending != options.jobs) wrong("there are not as many jobs as were enqueued");
}

// --- drain ---

void expect_drained(Place& place, std::size_t count) {
  auto stats = need(run_to_end(place.admin().stats()), "stats");
  if (stats.pending + stats.processing + stats.dead > 0) wrong("jobs are left");
  if (place.count_history() != static_cast<std::int64_t>(count)) wrong("there is not one attempt in history for each job");
}

// Until `count()` is `wanted`, which it reaches from below.
void wait_for(std::size_t wanted, const std::function<std::size_t()>& count) {
  std::size_t seen = 0;
  for (auto deadline = Steady::now() + kStandstillMax; seen < wanted && Steady::now() < deadline;) {
    std::this_thread::sleep_for(milliseconds(1));
    std::size_t now = count();
    if (now != std::exchange(seen, now)) deadline = Steady::now() + kStandstillMax;
  }
  if (seen != wanted) wrong("of " + std::to_string(wanted) + " there were " + std::to_string(seen));
}

void drain(Clients& clients, const Options& options) {
  auto place = open(options.places.front());
  fill(clients, place->queue(), options.jobs, 4, {.type = kType});
  std::vector<std::atomic<int>> runs(options.jobs);
  jobs::JobHandlers handlers;
  handlers.add<Numbered>(kType, {.concurrency = options.concurrency, .batch = options.batch},
                         [&](const Numbered& job, const jobs::JobRun&) -> jobs::Outcome {
                           ++runs.at(job.number);
                           return jobs::Completed{};
                         });
  SystemClock clock;
  jobs::JobRunner runner(place->queue(), place->signal(), handlers, clock, {.worker = "bench"});
  Measurement measurement(options.postmaster);
  runner.start();
  wait_for(options.jobs, [&] { return runner.stats().completed; });
  Tally none;
  measurement.report("drain", runner.stats().completed, none);
  runner.stop();
  expect_drained(*place, options.jobs);
  for (const auto& run : runs) {
    if (run != 1) wrong("a job did not run exactly once");
  }
}

struct Cycles {
  Tally claims;
  Tally ends;
  std::size_t jobs = 0;
};

Task<void> claim_and_end(jobs::JobQueue& queue, std::size_t batch, Cycles& cycles) {
  while (true) {
    ClaimRequest request{.worker = "bench", .types = {{kType, batch}}, .limit = batch};
    auto begin = Steady::now();
    auto claim = need(co_await queue.claim(std::move(request)), "claim");
    if (claim.jobs.empty()) co_return;
    cycles.claims.add(Steady::now() - begin);
    std::vector<jobs::Ending> endings;
    for (auto& job : claim.jobs)
      endings.push_back({.job = job.id, .lease_token = std::move(job.lease_token), .outcome = jobs::Completed{}});
    begin = Steady::now();
    auto ended = need(co_await queue.end(std::move(endings)), "end");
    cycles.ends.add(Steady::now() - begin);
    for (const auto& end : ended) need(end, "end");
    cycles.jobs += ended.size();
  }
}

// Without the runner: what the queue itself takes for it.
void claim_all(Clients& clients, const Options& options) {
  auto place = open(options.places.front());
  fill(clients, place->queue(), options.jobs, 4, {.type = kType});
  std::vector<Cycles> cycles(static_cast<std::size_t>(options.clients));
  Measurement measurement(options.postmaster);
  clients.run(options.clients,
              [&](int client) { return claim_and_end(place->queue(), options.batch, cycles[static_cast<std::size_t>(client)]); });
  Cycles all;
  for (const Cycles& some : cycles) {
    all.claims.add(some.claims);
    all.ends.add(some.ends);
    all.jobs += some.jobs;
  }
  measurement.report("claims", all.jobs, all.claims);
  measurement.report("ends", all.jobs, all.ends);
  expect_drained(*place, options.jobs);
}

// --- enqueue to start ---

// When each job was asked for and when it started; 0: not yet.
struct Moment {
  Steady::time_point asked = {};
  std::atomic<Steady::rep> started = 0;
};

Task<void> enqueue_one(jobs::JobQueue& queue, std::size_t number, Moment& moment, Tally& tally) {
  std::vector<JobDraft> one{numbered(number)};
  moment.asked = Steady::now();
  auto made = co_await queue.enqueue(std::move(one));
  if (!made) tally.add_error(made.error());
}

// An enqueue at each of its times, whether or not those before it were answered.
Task<void> enqueue_at_rate(jobs::JobQueue& queue, int rate, std::vector<Moment>& moments, Tally& tally) {
  using Timer = boost::asio::basic_waitable_timer<Steady, boost::asio::wait_traits<Steady>, Executor>;
  Executor executor = co_await boost::asio::this_coro::executor;
  Timer timer(executor);
  auto begin = Steady::now();
  for (std::size_t i = 0; i < moments.size(); ++i) {
    timer.expires_at(begin + i * std::chrono::nanoseconds(seconds(1)) / rate);
    co_await timer.async_wait(use_task);
    boost::asio::co_spawn(executor, enqueue_one(queue, i, moments[i], tally), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
}

// The runner and its place: with --listen those of another process, as it were, which hears of jobs from PostgreSQL alone.
class FarRunner {
 public:
  FarRunner(const Options& options, const jobs::JobHandlers& handlers, Place& near) {
    if (options.listens) {
      const std::string& url = options.places.front();
      far_ = open(url);
      listener_ = need(postgres::Listener::open(url, "hearth_jobs", [this] { far_->signal().notify(); }), "listen");
      while (!listener_->is_listening()) std::this_thread::sleep_for(milliseconds(1));
    }
    Place& place = far_ ? *far_ : near;
    runner_.emplace(place.queue(), place.signal(), handlers, clock_, jobs::RunnerOptions{.worker = "bench"});
    runner_->start();
  }
  ~FarRunner() {
    if (listener_) listener_->stop();
    runner_->stop();
  }

 private:
  SystemClock clock_;
  std::unique_ptr<Place> far_;
  std::unique_ptr<postgres::Listener> listener_;
  std::optional<jobs::JobRunner> runner_;
};

void start_latency(Clients& clients, const Options& options) {
  auto place = open(options.places.front());
  // The first second is to warm up.
  std::vector<Moment> moments(static_cast<std::size_t>(options.rate) * (static_cast<std::size_t>(options.seconds) + 1));
  std::atomic<std::size_t> started = 0;
  jobs::JobHandlers handlers;
  handlers.add<Numbered>(kType, {.concurrency = options.concurrency, .batch = options.batch},
                         [&](const Numbered& job, const jobs::JobRun&) -> jobs::Outcome {
                           moments.at(job.number).started = Steady::now().time_since_epoch().count();
                           ++started;
                           return jobs::Completed{};
                         });
  FarRunner runner(options, handlers, *place);
  Measurement measurement(options.postmaster);
  Tally tally;
  clients.run(1, [&](int) { return enqueue_at_rate(place->queue(), options.rate, moments, tally); });
  wait_for(moments.size(), [&] { return started.load(); });
  for (auto moment = moments.begin() + options.rate; moment != moments.end(); ++moment) {
    tally.add(Steady::time_point(Steady::duration(moment->started)) - moment->asked);
  }
  measurement.report("start", moments.size(), tally);
}

// --- growth ---

// A million jobs that ended, as the queue itself leaves them, and a million that are not due.
void grow(Clients& clients, Place& place, std::size_t count) {
  fill(clients, place.queue(), count, 4, {.type = kType});
  std::vector<Cycles> cycles(4);
  clients.run(4, [&](int client) { return claim_and_end(place.queue(), kBulk, cycles[static_cast<std::size_t>(client)]); });
  SystemClock clock;
  for (int priority : {0, 5}) {
    for (const std::string& type : {kType, std::string("other")}) {
      fill(clients, place.queue(), count / 4, 4,
           {.type = type, .priority = priority, .scheduled_for = clock.now() + std::chrono::hours(24)});
    }
  }
}

// How long it takes to claim `batch` jobs that are due. Enqueueing and ending them is not counted.
Task<void> claim_some(jobs::JobQueue& queue, std::size_t batch, ClaimRequest request, Tally& tally) {
  std::vector<JobDraft> drafts;
  for (std::size_t i = 0; i < batch; ++i) drafts.push_back(numbered(i));
  if (batch > 0) need(co_await queue.enqueue(std::move(drafts)), "enqueue");
  auto begin = Steady::now();
  auto claim = need(co_await queue.claim(std::move(request)), "claim");
  tally.add(Steady::now() - begin);
  if (claim.jobs.size() != batch) wrong("a claim of " + std::to_string(batch) + " got " + std::to_string(claim.jobs.size()));
  std::vector<jobs::Ending> endings;
  for (auto& job : claim.jobs) endings.push_back({.job = job.id, .lease_token = std::move(job.lease_token), .outcome = jobs::Completed{}});
  if (batch > 0) need(co_await queue.end(std::move(endings)), "end");
}

// Of the two places the first is empty, the second full; they take turns, so that whatever else goes on meets both.
void growth(Clients& clients, const Options& options) {
  std::vector<std::unique_ptr<Place>> places;
  for (const std::string& place : options.places) places.push_back(open(place));
  grow(clients, *places.at(1), options.jobs);
  struct Case {
    std::string name;
    std::size_t batch;
    ClaimRequest request;
  };
  std::vector<Case> cases{
      {"claim of 1", 1, {.worker = "bench", .types = {{kType, 1}}, .limit = 1}},
      {"claim of 1, of any type", 1, {.worker = "bench", .limit = 1}},
      {"claim of 100", 100, {.worker = "bench", .types = {{kType, 100}}, .limit = 100}},
      {"claim, nothing due", 0, {.worker = "bench", .types = {{kType, 1}}, .limit = 1}},
  };
  for (const Case& some : cases) {
    std::vector<Tally> tallies(places.size());
    Measurement measurement(options.postmaster);
    for (auto end = Steady::now() + seconds(options.seconds); Steady::now() < end;) {
      for (std::size_t i = 0; i < places.size(); ++i) {
        clients.run(1, [&](int) { return claim_some(places[i]->queue(), some.batch, some.request, tallies[i]); });
      }
    }
    measurement.report(some.name + " | empty", tallies[0].calls(), tallies[0]);
    measurement.report(some.name + " | full", tallies[1].calls(), tallies[1]);
  }
}

void settings(Clients&, const Options& options) {
  std::printf("%s\n", open(options.places.front())->settings().c_str());
}

// --- the limits: the disk, and SQLite with nothing around it ---

// An append of a page and its sync, as the log of a database does for a commit.
void floor_sync(Clients&, const Options& options) {
  auto path = std::filesystem::path(options.places.front().substr(options.places.front().find(':') + 1)) / "appended";
  std::filesystem::create_directories(path.parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) die("open", {ErrorCode::kUnavailable, path});
  const std::string page(4096, 'x');
  Tally tally;
  Measurement measurement(0);
  for (auto end = Steady::now() + seconds(options.seconds); Steady::now() < end;) {
    auto begin = Steady::now();
    bool is_done = std::fwrite(page.data(), page.size(), 1, file) == 1 && std::fflush(file) == 0 && fdatasync(fileno(file)) == 0;
    if (!is_done) die("sync", {ErrorCode::kUnavailable, path});
    tally.add(Steady::now() - begin);
  }
  measurement.report("sync", tally.calls(), tally);
  std::fclose(file);
}

constexpr char kPlainSchema[] =
    "CREATE TABLE queue (id INTEGER PRIMARY KEY, job_type TEXT, payload TEXT, status TEXT DEFAULT 'pending', priority INTEGER DEFAULT 0,"
    " attempts INTEGER DEFAULT 0, scheduled_for INTEGER, worker TEXT, created_at INTEGER);"
    "CREATE INDEX queue_pending ON queue (job_type, priority DESC, scheduled_for) WHERE status = 'pending';"
    "CREATE TABLE history (id INTEGER PRIMARY KEY, job_type TEXT, payload TEXT, attempts INTEGER, worker TEXT, ended_at INTEGER)";
constexpr char kPlainInsert[] =
    "INSERT INTO queue (job_type, payload, scheduled_for, created_at) VALUES ('bench', ?1, 1, 1) RETURNING id, status, priority";
constexpr char kPlainClaim[] =
    "UPDATE queue SET status = 'processing', attempts = attempts + 1, worker = 'bench' WHERE id IN (SELECT id FROM queue WHERE status = "
    "'pending' AND job_type = 'bench' ORDER BY priority DESC, scheduled_for LIMIT ?1) RETURNING id, payload";
constexpr char kPlainMove[] = "INSERT INTO history SELECT id, job_type, payload, attempts, worker, 1 FROM queue WHERE id = ?1";
constexpr char kPlainDelete[] = "DELETE FROM queue WHERE id = ?1";

sqlite::Connection plain_database(const Options& options) {
  std::filesystem::path folder = options.places.front().substr(options.places.front().find(':') + 1);
  std::filesystem::create_directories(folder);
  auto connection = need(sqlite::Connection::open({.path = folder / "plain.db"}), "plain.db");
  connection.execute(kPlainSchema);
  return connection;
}

void insert_plain(sqlite::Connection& connection, std::size_t count) {
  auto insert = [&] {
    for (std::size_t i = 0; i < count; ++i) {
      auto& row = connection.statement(kPlainInsert).query(numbered(i).payload);
      while (row.next()) {
      }
    }
  };
  need(connection.transaction(insert), "insert");
}

// So many inserts a transaction, one transaction after another.
void floor_insert(Clients&, const Options& options) {
  auto connection = plain_database(options);
  Tally tally;
  Measurement measurement(0);
  for (auto end = Steady::now() + seconds(options.seconds); Steady::now() < end;) {
    auto begin = Steady::now();
    insert_plain(connection, options.batch);
    tally.add(Steady::now() - begin);
  }
  measurement.report("insert", tally.calls() * options.batch, tally);
}

// Claims so many in one transaction, and moves them to history in the next.
void floor_drain(Clients&, const Options& options) {
  auto connection = plain_database(options);
  for (std::size_t made = 0; made < options.jobs; made += kBulk) insert_plain(connection, std::min(kBulk, options.jobs - made));
  std::size_t drained = 0;
  Tally tally;
  Measurement measurement(0);
  while (drained < options.jobs) {
    std::vector<std::int64_t> ids;
    auto begin = Steady::now();
    auto claim = [&] {
      auto& row = connection.statement(kPlainClaim).query(options.batch);
      while (row.next()) ids.push_back(row.integer(0));
    };
    auto end = [&] {
      for (std::int64_t id : ids) {
        connection.statement(kPlainMove).run(id);
        connection.statement(kPlainDelete).run(id);
      }
    };
    need(connection.transaction(claim), "claim");
    need(connection.transaction(end), "end");
    tally.add(Steady::now() - begin);
    drained += ids.size();
  }
  measurement.report("drain", drained, tally);
}

int main(int argc, char** argv) {
  const std::map<std::string, void (*)(Clients&, const Options&)> figures{
      {"settings", settings},         {"enqueue", enqueue},        {"bulk", bulk},     {"drain", drain},
      {"claim-all", claim_all},       {"start", start_latency},    {"growth", growth}, {"sync", floor_sync},
      {"plain-insert", floor_insert}, {"plain-drain", floor_drain}};
  Options options;
  std::string figure;
  CLI::App parser("Background jobs through the library: one figure, as a line of JSON.", "jobs_bench");
  parser.add_option("FIGURE", figure, "what to measure")->required()->check(CLI::IsMember(figures));
  parser.add_option("--at", options.places, "sqlite:FOLDER, or a URL of PostgreSQL; fresh")->required();
  parser.add_option("--jobs", options.jobs, "how many, where their number is given");
  parser.add_option("--seconds", options.seconds, "how long, where it is not");
  parser.add_option("--clients", options.clients, "that wait for an answer each");
  parser.add_option("--batch", options.batch, "jobs a claim, or a transaction");
  parser.add_option("--concurrency", options.concurrency, "handlers at once");
  parser.add_option("--rate", options.rate, "jobs a second");
  parser.add_flag("--listen", options.listens, "the runner is another process than who enqueues");
  parser.add_option("--postmaster", options.postmaster, "the process id of PostgreSQL, whose CPU counts too");
  CLI11_PARSE(parser, argc, argv);
  Clients clients;
  figures.at(figure)(clients, options);
  return 0;
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
  return hearth::bench::main(argc, argv);
}
