// What the conformance suites cannot ask of every database: failing disks, and what a claim costs in a large table.

#include "hearth/jobs/stores/sqlite_job_queue.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/jobs/stores/sqlite_job_claim.h"
#include "hearth/jobs/stores/sqlite_jobs_under_test.h"

namespace hearth::jobs {
namespace {

using sqlite::FaultKind;

// --- failing disks ---

// A worker that enqueues, claims and ends, and remembers what it was told.
class Worker {
 public:
  explicit Worker(SqliteJobsUnderTest& jobs) : jobs_(jobs) {}

  void enqueue(std::size_t count) {
    auto made = run(jobs_.queue().enqueue(std::vector<JobDraft>(count, {.type = "t", .max_attempts = 100})));
    if (!made) return;
    for (const EnqueuedJob& enqueued : *made) made_.insert(enqueued.job.id);
  }

  // Claims some, and ends most of them: completed with and without effect, failed; the last is forgotten.
  void work(std::size_t count) {
    auto claim = run(jobs_.queue().claim({.worker = "w", .limit = count}));
    if (!claim) return;
    std::vector<Ending> endings;
    for (std::size_t i = 0; i + 1 < claim->jobs.size(); ++i) {
      const ClaimedJob& job = claim->jobs[i];
      Outcome outcome = Failed{.error = "no", .retry_after = milliseconds(0)};
      if (i % 3 == 0) outcome = Completed{.effect = jobs_.note(to_text(job.id))};
      if (i % 3 == 1) outcome = Completed{.result = R"({"a":1})"};
      endings.push_back({job.id, job.lease_token, std::move(outcome)});
    }
    auto answers = run(jobs_.queue().end(endings));
    for (std::size_t i = 0; i < endings.size(); ++i) {
      if (!answers || !(*answers)[i]) {
        unknown_.push_back(endings[i]);
      } else if ((*answers)[i]->status == JobStatus::kCompleted) {
        completed_.insert(endings[i].job);
      }
    }
  }

  // Asks again what it got no answer to: the attempts are still its own, whether they had ended or not.
  void end_again() {
    for (const Ending& ending : std::exchange(unknown_, {})) {
      auto answer = run(jobs_.queue().end({ending})).value().front();
      ASSERT_TRUE(answer) << answer.error().message;
      if (answer->status == JobStatus::kCompleted) completed_.insert(ending.job);
    }
  }

  const std::set<JobId>& made() const { return made_; }
  const std::set<JobId>& completed() const { return completed_; }

 private:
  SqliteJobsUnderTest& jobs_;
  std::set<JobId> made_;
  std::set<JobId> completed_;
  std::vector<Ending> unknown_;
};

// Completes what is left, and checks that every job that somebody was told of completed once, and those before still are.
void expect_nothing_lost(SqliteJobsUnderTest& jobs, const std::vector<std::unique_ptr<Worker>>& workers) {
  for (const auto& worker : workers) worker->end_again();
  jobs.pass(hours(1));
  while (run(jobs.queue().take_over_expired(100)).value() > 0) {
  }
  while (true) {
    auto claimed = run(jobs.queue().claim({.worker = "last", .limit = 100})).value().jobs;
    if (claimed.empty()) break;
    std::vector<Ending> endings;
    for (const ClaimedJob& job : claimed) endings.push_back({job.id, job.lease_token, Completed{.effect = jobs.note(to_text(job.id))}});
    for (const auto& answer : run(jobs.queue().end(endings)).value()) EXPECT_TRUE(answer) << answer.error().message;
  }
  EXPECT_EQ(jobs.count("SELECT count(*) FROM background_jobs"), 0);
  std::map<JobId, int> completed;
  for (const HistoryRow& row : jobs.history()) completed[row.job] += row.status == "completed" ? 1 : 0;
  for (const auto& [job, times] : completed) EXPECT_EQ(times, 1) << to_text(job);
  for (const auto& worker : workers) {
    for (JobId job : worker->made()) EXPECT_TRUE(completed.contains(job)) << to_text(job) << " was lost";
    for (JobId job : worker->completed()) EXPECT_TRUE(completed.contains(job)) << to_text(job);
  }
}

struct Disk {
  sqlite::FaultVfs vfs;
  SqliteJobsUnderTest jobs{vfs.name()};
  std::vector<std::unique_ptr<Worker>> workers;

  Worker& add_worker() { return *workers.emplace_back(std::make_unique<Worker>(jobs)); }
  void lose_power(std::optional<std::uint64_t> keep_seed) {
    vfs.cut();
    jobs.close();
    vfs.revert(keep_seed);
    vfs.thaw();
    jobs.open();
  }
};

// Returns whether the fault was met.
bool work_with_fault(FaultKind kind, std::uint64_t nth, bool loses_power) {
  Disk disk;
  Worker& worker = disk.add_worker();
  worker.enqueue(2);
  disk.vfs.inject({.kind = kind, .files = "content.db", .nth = nth});
  worker.enqueue(1);
  worker.enqueue(6);
  worker.work(5);
  worker.enqueue(1);
  worker.work(5);
  bool is_met = disk.vfs.faults_met() > 0;
  disk.vfs.heal();
  if (loses_power) disk.lose_power(nth);
  expect_nothing_lost(disk.jobs, disk.workers);
  return is_met;
}

struct Sweep {
  std::string name;
  FaultKind kind;
  bool loses_power;
};

class SqliteJobQueueFaults : public testing::TestWithParam<Sweep> {};

TEST_P(SqliteJobQueueFaults, WhicheverWriteFailsNothingIsLostAndNothingEndsTwice) {
  const Sweep& sweep = GetParam();
  std::uint64_t nth = 1;
  while (work_with_fault(sweep.kind, nth, sweep.loses_power) && !HasFailure()) {
    SCOPED_TRACE("failure " + std::to_string(nth));
    ++nth;
  }
  EXPECT_GE(nth, 5u) << "the sweep met something";
}

INSTANTIATE_TEST_SUITE_P(Kinds, SqliteJobQueueFaults,
                         testing::Values(Sweep{"write_error", FaultKind::kWriteError, false},
                                         Sweep{"torn_write", FaultKind::kTornWrite, true}, Sweep{"disk_full", FaultKind::kDiskFull, false},
                                         Sweep{"sync_error", FaultKind::kSyncError, true}),
                         [](const auto& info) { return info.param.name; });

TEST(SqliteJobQueue, WhatWasAnsweredBeforeThePowerWentIsThere) {
  std::uint64_t seed = std::random_device()();
  for (int round = 0; round < 20 && !testing::Test::HasFailure(); ++round, ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Disk disk;
    std::atomic<int> steps = 0;
    std::atomic<bool> is_cut = false;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, &worker = disk.add_worker(), own = std::mt19937_64(random())]() mutable {
        while (!is_cut) {
          own() % 2 ? worker.enqueue(1 + own() % 4) : worker.work(2 + own() % 6);
          ++steps;
        }
      });
    }
    for (int limit = static_cast<int>(random() % 200); steps < limit;) std::this_thread::yield();
    disk.vfs.cut();
    is_cut = true;
    threads.clear();
    disk.lose_power(round % 2 ? std::optional(random()) : std::nullopt);
    expect_nothing_lost(disk.jobs, disk.workers);
  }
}

TEST(SqliteJobQueue, AFailureThatTakesTheTransactionBackEndsNobody) {
  SqliteJobsUnderTest jobs;
  ASSERT_TRUE(run(jobs.queue().enqueue(std::vector<JobDraft>(3, {.type = "t"}))));
  auto claimed = run(jobs.queue().claim({.worker = "w", .limit = 3})).value().jobs;
  Effect full = [](SqlTransaction transaction) -> Result<void> {
    std::get<sqlite::Connection*>(transaction)->execute("ROLLBACK");  // as SQLite does when the disk is full
    throw sqlite::Failure(SQLITE_FULL, "database or disk is full");
  };
  auto answers = run(jobs.queue().end({{claimed[0].id, claimed[0].lease_token, Completed{}},
                                       {claimed[1].id, claimed[1].lease_token, Completed{.effect = full}},
                                       {claimed[2].id, claimed[2].lease_token, Completed{.effect = jobs.note("third")}}}));
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(jobs.history().empty());
  EXPECT_TRUE(jobs.notes().empty());
  for (const ClaimedJob& job : claimed) {
    EXPECT_FALSE(run(jobs.queue().end({{job.id, job.lease_token, Completed{}}})).value().front().value().is_repeated);
  }
}

// --- what a claim costs ---

constexpr char kAddDue[] =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
    "INSERT INTO background_jobs (job_type, priority, scheduled_for, created_at, updated_at) SELECT ?2, i % 3, ?3, 0, 0 FROM n";
constexpr char kAddFinished[] =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
    "INSERT INTO job_history (job_id, number, job_type, status, attempts, ended_at) SELECT i + 1000000, 0, 't', 'completed', 1, i FROM n";
constexpr char kAddDead[] =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
    "INSERT INTO background_jobs (job_type, status, priority, scheduled_for, failed_at, created_at, updated_at) "
    "SELECT 't', 'dead', i % 3, 0, i, 0, 0 FROM n";
constexpr char kAddRunning[] =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
    "INSERT INTO background_jobs (job_type, status, priority, scheduled_for, lease_token, lease_ms, lease_expires_at, created_at, "
    "updated_at) SELECT 't', 'processing', i % 3, 0, i, 1000, ?2, 0, 0 FROM n";

// The steps of SQLite's virtual machine since the last time, of all statements of a connection.
std::int64_t steps_of(sqlite::Connection& connection) {
  std::int64_t steps = 0;
  for (sqlite3_stmt* each = sqlite3_next_stmt(connection.handle(), nullptr); each != nullptr;
       each = sqlite3_next_stmt(connection.handle(), each)) {
    steps += sqlite3_stmt_status(each, SQLITE_STMTSTATUS_VM_STEP, 1);
  }
  return steps;
}

class SqliteClaimCost : public testing::Test {
 protected:
  void add(const char* sql, int count, const auto&... more) {
    auto done = jobs.database().write_blocking([&](sqlite::Connection& connection) -> Result<void> {
      connection.statement(sql).run(count, more...);
      return {};
    });
    ASSERT_TRUE(done) << done.error().message;
  }
  // Of claiming ten jobs and completing them, of one that claims nothing any more, and of looking for expired leases.
  std::int64_t steps() {
    add(kAddDue, 10, "t", micros(jobs.now() - hours(1)));
    auto reset = [](sqlite::Connection& connection) -> Result<std::int64_t> { return steps_of(connection); };
    jobs.database().write_blocking(reset).value();
    auto claimed = run(jobs.queue().claim({.worker = "w", .limit = 10})).value().jobs;
    EXPECT_EQ(claimed.size(), 10u);
    std::vector<Ending> endings;
    for (const ClaimedJob& job : claimed) endings.push_back({job.id, job.lease_token, Completed{}});
    for (const auto& answer : run(jobs.queue().end(endings)).value()) EXPECT_TRUE(answer);
    EXPECT_TRUE(run(jobs.queue().claim({.worker = "w", .limit = 10})).value().jobs.empty());
    EXPECT_EQ(run(jobs.queue().take_over_expired(100)), 0u);
    return jobs.database().write_blocking(reset).value();
  }

  sqlite::FaultVfs disk;  // which makes nobody wait
  SqliteJobsUnderTest jobs{disk.name()};
};

TEST_F(SqliteClaimCost, IsTheSameHoweverManyJobsAreFinishedFutureDeadOrRunning) {
  constexpr int kMany = 50'000;
  for (int priority = 0; priority < 3; ++priority) {  // so that the lines are there from the beginning
    add(kAddDue, 3, "t", micros(jobs.now() + hours(1)));
  }
  steps();  // prepares the statements
  std::int64_t alone = steps();
  add(kAddFinished, kMany);
  add(kAddDue, kMany, "t", micros(jobs.now() + hours(2)));
  add(kAddDead, kMany);
  add(kAddRunning, kMany, micros(jobs.now() + hours(1)));
  std::int64_t among_many = steps();
  EXPECT_LE(among_many, alone + alone / 20) << "against " << alone << " steps";
}

TEST_F(SqliteClaimCost, HardlyGrowsByATypeThatIsPausedOrLimitedOrNotWanted) {
  steps();
  std::int64_t alone = steps();
  ASSERT_TRUE(run(jobs.admin().set_paused("paused", true)));
  ASSERT_TRUE(run(jobs.admin().configure({.type = "limited", .rate = TypeSettings::Rate{.count = 1, .window = hours(1)}})));
  add(kAddDue, 1, "limited", 0);
  ASSERT_EQ(run(jobs.queue().claim({.worker = "w", .limit = 1})).value().jobs.size(), 1u);
  for (const char* type : {"paused", "limited"}) add(kAddDue, 50'000, type, 0);
  EXPECT_LE(steps(), alone + 1'500) << "against " << alone << " steps; a look at each job would be 100,000";
}

TEST_F(SqliteClaimCost, ABatchReadsNoMoreThanItTakes) {
  auto steps_with_due = [&](int count) {
    add(kAddDue, count, "t", 0);
    jobs.database().write_blocking([](sqlite::Connection& connection) -> Result<std::int64_t> { return steps_of(connection); }).value();
    return jobs.database()
        .write_blocking([&](sqlite::Connection& connection) -> Result<std::int64_t> {
          EXPECT_EQ(claim(connection, {.worker = "w", .limit = 100}, jobs.now()).jobs.size(), 100u);
          return steps_of(connection);
        })
        .value();
  };
  steps_with_due(1'000);
  std::int64_t few = steps_with_due(1'000);
  std::int64_t many = steps_with_due(50'000);
  EXPECT_LE(many, few + few / 20);
}

}  // namespace
}  // namespace hearth::jobs
