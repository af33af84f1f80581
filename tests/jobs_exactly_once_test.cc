// Workers killed, and stopped beyond their leases; nodes killed and stopped; the database killed; all at random, under load.
// In the end each job was finished exactly once, no answer of a worker that had lost its lease was accepted, and nothing is
// left.
//
// HEARTH_JOBS sets how many jobs there are, HEARTH_FIRE_ROUNDS how many faults; the seed is printed when something is wrong.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/job_nodes.h"
#include "tests/support/job_worker.h"

namespace hearth::tests {
namespace {

using redis::eventually;

constexpr std::int64_t kJobs = 10'000 / kSlowness;  // a quarter of them done by the nodes themselves, the others by workers
constexpr int kRounds = 10;
constexpr std::size_t kWorkers = 3;
constexpr std::int64_t kJobsPerCall = 200;
constexpr std::int64_t kBuiltInEvery = 4;

std::int64_t setting(const char* name, std::int64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::atol(text);
}

// Enqueues jobs, from a thread of its own, whatever happens to the nodes: a call that was not answered is made again.
class Producer {
 public:
  Producer(std::filesystem::path ports, std::int64_t jobs) : ports_(std::move(ports)), thread_([this, jobs] { run(jobs); }) {}
  ~Producer() {
    is_given_up_ = true;
    finish();
  }

  // So many in all, until more are allowed.
  void allow(std::int64_t jobs) { allowed_ = jobs; }
  void finish() {
    if (thread_.joinable()) thread_.join();
  }
  const std::string& failure() const { return failure_; }  // REQUIRES: finish()

 private:
  void run(std::int64_t jobs) {
    for (std::int64_t made = 0; made < jobs && failure_.empty() && !is_given_up_;) {
      auto count = std::min(kJobsPerCall, std::min<std::int64_t>(allowed_, jobs) - made);
      if (count > 0 && enqueue(made, count)) {
        made += count;
      } else {
        usleep(10'000);  // before the next try
      }
    }
  }

  bool enqueue(std::int64_t first, std::int64_t count) {
    std::string body = R"({"jobs":[)";
    for (auto i = first; i < first + count; ++i) body += (i == first ? "" : ",") + job(i);
    body += "]}";
    try {
      auto answer = HttpClient(any_port()).post("/api/jobs/bulk", body);
      if (answer.status == 503) return false;
      if (answer.status != 200) failure_ = std::to_string(answer.status) + answer.body;
      return answer.status == 200;
    } catch (const std::runtime_error&) {
      return false;
    }
  }

  static std::string job(std::int64_t number) {
    auto key = std::to_string(number);
    auto what = number % kBuiltInEvery == 0 ? R"("jobType":"send_notification","payload":{"userId":"ada","title":")" + key + "\"}"
                                            : R"("jobType":"outside","payload":{"number":)" + key + "}";
    return "{" + what + R"(,"maxAttempts":100,"idempotencyKey":"job-)" + key + "\"}";
  }

  std::uint16_t any_port() {
    std::ifstream file(ports_);
    std::vector<std::uint16_t> ports;
    for (std::uint16_t port = 0; file >> port;) ports.push_back(port);
    return ports[++turn_ % ports.size()];
  }

  const std::filesystem::path ports_;
  std::atomic<std::int64_t> allowed_{0};
  std::atomic<bool> is_given_up_{false};
  std::size_t turn_ = 0;
  std::string failure_;
  std::thread thread_;
};

class JobsExactlyOnce : public testing::TestWithParam<SqlKind> {
 protected:
  JobsExactlyOnce() {
    nodes.add();
    if (has_postgres()) nodes.add();
    for (std::size_t i = 0; i < kWorkers; ++i) workers.push_back(start_worker());
  }
  void TearDown() override {
    if (HasFailure()) std::cout << nodes.errors();
  }

  static bool has_postgres() { return GetParam() == SqlKind::kPostgres; }

  std::unique_ptr<WorkerProcess> start_worker() {
    auto name = "worker-" + std::to_string(++started_workers);
    return std::make_unique<WorkerProcess>(
        WorkerOptions{.name = name, .type = "outside", .ports = nodes.ports(), .account = nodes.folder() / name});
  }

  // Any moment will do, so the time that passes decides nothing.
  void let_some_time_pass() { usleep(static_cast<useconds_t>(random() % 100'000)); }

  std::int64_t completed() const { return tables.number("SELECT count(*) FROM job_history WHERE status = 'completed'"); }
  std::int64_t held_by(const std::string& worker) const {
    return tables.number("SELECT count(*) FROM background_jobs WHERE status = 'processing' AND worker_id LIKE '" + worker + "'");
  }

  // --- faults ---

  void a_worker_dies() {
    auto& worker = workers[random() % kWorkers];
    worker->kill();
    let_some_time_pass();
    dead_workers.push_back(std::move(worker));
    worker = start_worker();
  }

  // It stands still with jobs in its hands until others have them, and then goes on as if nothing had happened.
  void a_worker_sleeps_beyond_its_lease() {
    auto& worker = *workers[random() % kWorkers];
    // More than it has threads: one call of each may be under way, and be taken.
    auto stops_with_jobs = [&] {
      worker.pause();
      if (held_by(worker.name()) > static_cast<std::int64_t>(kWorkerThreads)) return true;
      worker.resume();
      return false;
    };
    ASSERT_TRUE(eventually(stops_with_jobs));
    ASSERT_TRUE(eventually([&] { return held_by(worker.name()) == 0; }));
    auto stale = stale_answers(worker);
    worker.resume();
    ASSERT_TRUE(eventually([&] { return stale_answers(worker) > stale; }));
  }

  void nodes_die() {
    bool are_all = nodes.size() == 1 || random() % 3 == 0;
    std::size_t first = random() % nodes.size();
    nodes.kill(first);
    if (are_all && nodes.size() > 1) nodes.kill(1 - first);
    let_some_time_pass();
    nodes.start(first);
    if (are_all && nodes.size() > 1) nodes.start(1 - first);
  }

  void a_node_sleeps_beyond_its_lease() {
    auto& node = nodes[random() % nodes.size()];
    node.pause();
    ASSERT_TRUE(eventually([&] { return held_by("%:" + std::to_string(node.id())) == 0; }));
    let_some_time_pass();
    node.resume();
  }

  void the_database_dies() {
    shared_postgres().kill();
    let_some_time_pass();
    shared_postgres().start();
  }

  void all_die() {
    for (std::size_t i = 0; i < nodes.size(); ++i) nodes.kill(i);
    if (has_postgres()) the_database_dies();
    a_worker_dies();
    for (std::size_t i = 0; i < nodes.size(); ++i) nodes.start(i);
  }

  struct Fault {
    const char* name;
    void (JobsExactlyOnce::*happen)();
  };
  static std::vector<Fault> faults() {
    std::vector<Fault> all = {{"a worker sleeps", &JobsExactlyOnce::a_worker_sleeps_beyond_its_lease},
                              {"a worker dies", &JobsExactlyOnce::a_worker_dies},
                              {"nodes die", &JobsExactlyOnce::nodes_die},
                              {"all die", &JobsExactlyOnce::all_die}};
    if (!has_postgres()) return all;
    all.push_back({"a node sleeps", &JobsExactlyOnce::a_node_sleeps_beyond_its_lease});
    all.push_back({"the database dies", &JobsExactlyOnce::the_database_dies});
    return all;
  }

  // Each kind at least once in a run of the usual length; each while there is work to do.
  void work_through_faults(Producer& producer, std::int64_t jobs) {
    auto rounds = setting("HEARTH_FIRE_ROUNDS", kRounds);
    auto kinds = faults();
    for (std::int64_t round = 0; round < rounds && !HasFatalFailure(); ++round) {
      auto share = jobs / (rounds + 1);
      auto due = round * share + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(share / 2));
      producer.allow((round + 1) * share);
      ASSERT_TRUE(eventually([&] { return completed() >= due; })) << "the work stands still at " << completed();
      const auto& fault = kinds[static_cast<std::size_t>(round) < kinds.size() ? static_cast<std::size_t>(round) : random() % kinds.size()];
      std::cout << completed() << " done: " << fault.name << std::endl;
      (this->*fault.happen)();
    }
  }

  void wait_for_the_rest(std::int64_t jobs) {
    for (auto done = completed(); done < jobs;) {
      ASSERT_TRUE(eventually([&] { return completed() > done; })) << "the work stands still at " << done << " of " << jobs;
      done = completed();
    }
  }

  // --- what must be true ---

  static std::int64_t stale_answers(const WorkerProcess& worker) {
    return std::ranges::count(worker.events(), "stale", &WorkerEvent::what);
  }

  void expect_each_completed_once(std::int64_t jobs) {
    EXPECT_EQ(tables.number("SELECT count(*) FROM background_jobs"), 0);
    EXPECT_EQ(completed(), jobs);
    EXPECT_EQ(tables.number("SELECT count(DISTINCT job_id) FROM job_history WHERE status = 'completed'"), jobs);
    EXPECT_EQ(tables.number("SELECT count(DISTINCT idempotency_key) FROM job_history WHERE status = 'completed'"), jobs);
    EXPECT_EQ(tables.number("SELECT count(*) FROM job_history WHERE status NOT IN ('completed', 'failed')"), 0);
    // Their effect was committed with them.
    auto built_in = (jobs + kBuiltInEvery - 1) / kBuiltInEvery;
    EXPECT_EQ(tables.number("SELECT count(*) FROM notifications"), built_in);
    EXPECT_EQ(tables.number("SELECT count(DISTINCT title) FROM notifications"), built_in);
  }

  // Whose token the queue kept as the one that completed the job.
  void expect_only_owners_were_accepted() {
    std::set<std::string> owners;
    for (auto& line : tables.texts("SELECT job_id || ' ' || lease_token FROM job_history WHERE status = 'completed'")) owners.insert(line);
    std::int64_t stale = 0;
    std::int64_t accepted = 0;
    for (const auto* group : {&workers, &dead_workers}) {
      for (const auto& worker : *group) {
        for (const auto& event : worker->events()) {
          bool is_owner = owners.contains(event.job + ' ' + event.lease_token);
          if (event.what == "completed" || event.what == "repeated") {
            ++accepted;
            EXPECT_TRUE(is_owner) << worker->name() << " completed job " << event.job << ", which another attempt completed";
          } else if (event.what == "stale") {
            ++stale;
            EXPECT_FALSE(is_owner) << worker->name() << " completed job " << event.job << " and was refused";
          } else if (event.what == "wrong") {
            ADD_FAILURE() << worker->name() << ": " << event.rest;
          }
        }
      }
    }
    auto stats = expect_answer(200, nodes.client().get("/api/admin/queue/stats"));
    EXPECT_GT(accepted, 0);
    EXPECT_GT(stale, 0);
    EXPECT_GE(stats.at("staleRefused").as_int64(), stale);
    std::cout << accepted << " answers of workers were accepted, " << stale << " were stale, of " << stats.at("staleRefused").as_int64()
              << " refused in all; " << tables.number("SELECT count(*) FROM job_history WHERE status = 'failed'") << " attempts failed\n";
  }

  void expect_nothing_is_left() {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      auto stats = expect_answer(200, nodes.client(i).get("/api/admin/queue/stats"));
      for (const char* field : {"pending", "processing", "failed", "dead", "stuck"}) EXPECT_EQ(stats.at(field).as_int64(), 0) << field;
      EXPECT_EQ(expect_answer(200, nodes.client(i).get("/api/health/queue")).at("healthy").as_bool(), true);
    }
  }

  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
  JobNodes nodes{GetParam(), {"--jobs.lease_seconds=1", "--jobs.poll_ms=100"}};
  const JobTables tables = nodes.tables();
  std::vector<std::unique_ptr<WorkerProcess>> workers;
  std::vector<std::unique_ptr<WorkerProcess>> dead_workers;  // their accounts are read in the end
  int started_workers = 0;
};

TEST_P(JobsExactlyOnce, WhateverIsKilledOrSleeps) {
  const auto jobs = setting("HEARTH_JOBS", kJobs);
  Producer producer(nodes.ports(), jobs);
  work_through_faults(producer, jobs);
  producer.allow(jobs);
  producer.finish();
  ASSERT_EQ(producer.failure(), "");
  wait_for_the_rest(jobs);
  expect_each_completed_once(jobs);
  expect_only_owners_were_accepted();
  expect_nothing_is_left();
}

INSTANTIATE_TEST_SUITE_P(, JobsExactlyOnce, testing::Values(SqlKind::kSqlite, SqlKind::kPostgres),
                         [](const auto& info) { return info.param == SqlKind::kSqlite ? "sqlite" : "postgres"; });

}  // namespace
}  // namespace hearth::tests
