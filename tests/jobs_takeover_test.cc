// Whose work is taken over when, and from whom nothing is accepted any more: workers and nodes that die, sleep or stop.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/value.hpp>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <string>
#include <vector>

#include "hearth/drivers/web/test_web_server.h"
#include "tests/support/http_client.h"
#include "tests/support/job_nodes.h"
#include "tests/support/job_worker.h"

namespace hearth::tests {
namespace {

using redis::eventually;
using std::chrono::microseconds;
using std::chrono::seconds;

constexpr microseconds kTakeoverMax = seconds(2) * kSlowness;  // after the end of a lease
const std::string kLongLease = "--jobs.lease_seconds=600";

// Requests wait at it until it opens; then all are let through.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.wait(lock, [this] { return is_open_; });
    --waiting_;
  }
  void open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  int waiting() const {
    std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = false;
  int waiting_ = 0;
};

// Jobs that nodes do by posting them to an endpoint of ours, which answers when the test wants it: so a job runs for as long
// as it has to.
class Takeover : public testing::TestWithParam<SqlKind> {
 protected:
  void TearDown() override {
    gate.open();
    if (HasFailure()) std::cout << nodes.errors();
  }

  std::string enqueue(const std::string& job) { return text_of(expect_answer(201, nodes.client().post("/api/jobs", job)), "id"); }
  std::string enqueue_post(const std::string& path) { return enqueue(R"({"jobType":"posted","url":")" + endpoint.url(path) + "\"}"); }
  std::string status_of(const std::string& job, std::size_t node = 0) {
    return text_of(expect_answer(200, nodes.client(node).get("/api/jobs/" + job)), "status");
  }
  bool has_completed(const std::string& job, std::size_t node = 0) { return status_of(job, node) == "completed"; }

  std::int64_t number(const std::string& sql) const { return tables.number(sql); }
  std::int64_t time_of(const std::string& column, const std::string& from) const {
    return number("SELECT " + tables.micros(column) + " FROM " + from);
  }
  std::int64_t rows_of(const std::string& job, const std::string& status) const {
    return number("SELECT count(*) FROM job_history WHERE job_id = " + job + " AND status = '" + status + "'");
  }
  std::int64_t stale_refused(std::size_t node) {
    return expect_answer(200, nodes.client(node).get("/api/admin/queue/stats")).at("staleRefused").as_int64();
  }
  // When the lease of a job ends, which nobody renews.
  std::int64_t end_of_lease(const std::string& job) const { return time_of("lease_expires_at", "background_jobs WHERE id = " + job); }
  void expect_taken_over_in_time(const std::string& job, std::int64_t lease_end) {
    auto restarted = time_of("started_at", "job_history WHERE status = 'completed' AND job_id = " + job);
    EXPECT_GE(restarted, lease_end);
    EXPECT_LE(restarted, lease_end + kTakeoverMax.count()) << "after the end of the lease";
  }

  Gate gate;
  std::atomic<int> posted{0};
  // /hold waits at the gate the first time, /gone is never answered then.
  web::TestWebServer endpoint{[this](web::TestAnswer& answer, const web::TestRequest& request) {
    bool is_first = posted++ == 0;
    if (is_first && request.target == "/hold") gate.pass();
    if (is_first && request.target == "/gone") return answer.wait_for_close();
    answer.send(200);
  }};
  JobNodes nodes{GetParam(), {"--fetch.allow_private=true", "--jobs.concurrency=webhook=1"}};
  const JobTables tables = nodes.tables();
};

TEST_P(Takeover, JobsOfAWorkerThatDiedRunAgainWithinItsLeaseAndTwoSeconds) {
  nodes.add();
  constexpr std::size_t kHeld = 20;
  for (std::size_t i = 0; i < kHeld; ++i) enqueue(R"({"jobType":"outside"})");
  WorkerProcess worker({.name = "dies",
                        .type = "outside",
                        .lease = seconds(2),
                        .limit = kHeld,
                        .holds = true,
                        .ports = nodes.ports(),
                        .account = nodes.folder() / "dies"});
  // It lives for longer than its first leases.
  auto held = [&] { return number("SELECT count(*) FROM background_jobs WHERE status = 'processing'"); };
  ASSERT_TRUE(eventually([&] { return held() == static_cast<std::int64_t>(kHeld); }));
  auto first_end = time_of("min(lease_expires_at)", "background_jobs");
  ASSERT_TRUE(eventually([&] { return tables.now() > first_end + 1'000'000; }));
  EXPECT_EQ(number("SELECT count(*) FROM job_history"), 0);
  worker.kill();

  std::vector<std::string> again;
  std::int64_t lease_end = 0;  // a call that was under way may have renewed one
  auto next = nodes.client();
  ASSERT_TRUE(eventually([&] {
    for (const auto& end : tables.texts("SELECT CAST(" + tables.micros("lease_expires_at") +
                                        " AS text) FROM background_jobs WHERE worker_id = 'dies' AND status = 'processing'")) {
      lease_end = std::max<std::int64_t>(lease_end, std::stoll(end));
    }
    auto claimed = expect_answer(200, next.post("/api/jobs/claim", R"({"workerId":"next","jobTypes":["outside"],"limit":100})"));
    for (const auto& job : claimed.at("jobs").as_array()) {
      EXPECT_EQ(job.at("attempts").as_int64(), 2);
      again.push_back(text_of(job, "id"));
      expect_answer(200, next.post("/api/jobs/" + again.back() + "/complete", R"({"leaseToken":")" + text_of(job, "leaseToken") + "\"}"));
    }
    return again.size() >= kHeld;
  }));
  EXPECT_EQ(number("SELECT count(*) FROM job_history WHERE status = 'failed'"), static_cast<std::int64_t>(kHeld));
  EXPECT_EQ(number("SELECT count(*) FROM job_history WHERE status = 'completed'"), static_cast<std::int64_t>(kHeld));
  EXPECT_LE(time_of("max(started_at)", "job_history WHERE status = 'completed'"), lease_end + kTakeoverMax.count());
}

TEST_P(Takeover, AClaimOfAWorkerThatDiesAtOnceIsOverWithItsLease) {
  nodes.add();
  auto job = enqueue(R"({"jobType":"outside"})");
  {
    HttpClient dies = nodes.client();
    auto claimed = expect_answer(200, dies.post("/api/jobs/claim", R"({"workerId":"dies","jobTypes":["outside"],"leaseMs":1000})"));
    ASSERT_EQ(claimed.at("jobs").as_array().size(), 1u);
  }
  auto lease_end = end_of_lease(job);
  auto next = nodes.client();
  auto claimed = expect_answer(200, next.post("/api/jobs/claim", R"({"workerId":"next","jobTypes":["outside"],"waitMs":10000})"));
  ASSERT_EQ(claimed.at("jobs").as_array().size(), 1u);
  auto again = claimed.at_pointer("/jobs/0");
  EXPECT_EQ(text_of(again, "id"), job);
  expect_answer(200, next.post("/api/jobs/" + job + "/complete", R"({"leaseToken":")" + text_of(again, "leaseToken") + "\"}"));
  expect_taken_over_in_time(job, lease_end);
}

TEST_P(Takeover, JobsOfANodeThatDiedRunAgainWithinItsLeaseAndTwoSeconds) {
  nodes.add({"--jobs.lease_seconds=3"});
  auto job = enqueue_post("/hold");
  ASSERT_TRUE(eventually([&] { return gate.waiting() == 1; }));
  nodes.kill(0);
  auto lease_end = end_of_lease(job);
  std::size_t other = 0;
  if (GetParam() == SqlKind::kSqlite) {
    nodes.start(0);  // there is no other; it does not know its own jobs again
  } else {
    nodes.add();
    other = 1;
  }
  ASSERT_TRUE(eventually([&] { return has_completed(job, other); }));
  expect_taken_over_in_time(job, lease_end);
  EXPECT_EQ(rows_of(job, "completed"), 1);
  EXPECT_EQ(rows_of(job, "failed"), 1);
}

TEST_P(Takeover, AnAttemptThatSleptBeyondItsLeaseIsRefusedHoweverLateItEnds) {
  nodes.add();
  auto job = enqueue(R"({"jobType":"outside"})");
  const std::string claim = R"({"workerId":"some","jobTypes":["outside"],"leaseMs":1000,"waitMs":10000})";
  auto http = nodes.client();
  auto first = text_of(expect_answer(200, http.post("/api/jobs/claim", claim)).at_pointer("/jobs/0"), "leaseToken");
  auto second = text_of(expect_answer(200, http.post("/api/jobs/claim", claim)).at_pointer("/jobs/0"), "leaseToken");
  auto answer = [&](const std::string& action, const std::string& token, const std::string& fields = "") {
    return http.post("/api/jobs/" + job + "/" + action, R"({"leaseToken":")" + token + '"' + fields + '}');
  };
  auto expect_stale = [&](const Answer& refused) { EXPECT_EQ(text_of(expect_answer(409, refused), "code"), "stale_lease"); };
  auto expect_all_stale = [&] {
    expect_stale(answer("complete", first));
    expect_stale(answer("fail", first, R"(,"error":"late")"));
    expect_stale(answer("snooze", first, R"(,"seconds":1)"));
    expect_stale(answer("heartbeat", first));
  };
  expect_all_stale();
  expect_answer(200, answer("complete", second));
  expect_all_stale();
  EXPECT_EQ(expect_answer(200, answer("complete", second)).at("repeated").as_bool(), true);
  EXPECT_EQ(stale_refused(0), 8);
  EXPECT_EQ(rows_of(job, "completed"), 1);
  EXPECT_EQ(rows_of(job, "failed"), 1);
}

TEST_P(Takeover, AJobThatRunsLongerThanItsLeaseKeepsIt) {
  nodes.add({"--jobs.lease_seconds=1"});
  auto job = enqueue_post("/hold");
  ASSERT_TRUE(eventually([&] { return gate.waiting() == 1; }));
  auto first_end = end_of_lease(job);
  ASSERT_TRUE(eventually([&] { return tables.now() > first_end + kTakeoverMax.count(); }));
  gate.open();
  ASSERT_TRUE(eventually([&] { return has_completed(job); }));
  EXPECT_EQ(posted, 1);
  EXPECT_EQ(number("SELECT count(*) FROM job_history"), 1);
}

TEST_P(Takeover, AJobThatIsCancelledIsStoppedWhereItRuns) {
  nodes.add({"--jobs.lease_seconds=1"});
  auto running = enqueue_post("/gone");
  auto next = enqueue_post("/");
  ASSERT_TRUE(eventually([&] { return posted == 1; }));
  expect_answer(200, nodes.client().call("DELETE", "/api/jobs/" + running));
  // There is room for one job at a time.
  ASSERT_TRUE(eventually([&] { return has_completed(next); }));
  EXPECT_EQ(status_of(running), "cancelled");
  EXPECT_EQ(rows_of(running, "cancelled"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs"), 0);
}

// --- several nodes ---

using TakeoverByAnotherNode = Takeover;

TEST_P(TakeoverByAnotherNode, ANodeThatSleptBeyondItsLeaseFinishesNothing) {
  nodes.add({"--jobs.lease_seconds=1"});
  auto job = enqueue_post("/hold");
  ASSERT_TRUE(eventually([&] { return gate.waiting() == 1; }));
  nodes[0].pause();
  nodes.add();
  ASSERT_TRUE(eventually([&] { return has_completed(job, 1); }));
  gate.open();  // the endpoint answers the first one too
  nodes[0].resume();
  ASSERT_TRUE(eventually([&] { return stale_refused(1) > 0; }));
  EXPECT_EQ(rows_of(job, "completed"), 1);
  EXPECT_EQ(rows_of(job, "failed"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs"), 0);
}

// --- a stop in order ---

TEST_P(TakeoverByAnotherNode, AStopFinishesWhatHasBegunAndTakesNothingNew) {
  nodes.add({kLongLease});
  auto running = enqueue_post("/hold");
  ASSERT_TRUE(eventually([&] { return gate.waiting() == 1; }));
  nodes.add();
  nodes[0].ask_to_stop();
  std::vector<std::string> others;
  auto next = nodes.client(1);
  for (int i = 0; i < 4; ++i) {
    others.push_back(
        text_of(expect_answer(201, next.post("/api/jobs", R"({"jobType":"posted","url":")" + endpoint.url("/") + "\"}")), "id"));
  }
  for (const auto& job : others) ASSERT_TRUE(eventually([&] { return has_completed(job, 1); }));
  EXPECT_EQ(gate.waiting(), 1);
  gate.open();
  EXPECT_EQ(nodes[0].wait().code, 0) << nodes[0].errors();
  EXPECT_TRUE(has_completed(running, 1));
  EXPECT_EQ(posted, 5) << "nothing ran twice";
  EXPECT_EQ(number("SELECT count(*) FROM job_history"), 5);
  EXPECT_EQ(number("SELECT max(attempts) FROM job_history"), 1);
}

TEST_P(TakeoverByAnotherNode, AStopGivesUpInTimeWhatDoesNotEnd) {
  nodes.add({kLongLease});
  auto job = enqueue_post("/gone");
  ASSERT_TRUE(eventually([&] { return posted == 1; }));
  nodes.add();
  EXPECT_EQ(nodes.terminate(0).code, 0) << nodes[0].errors();  // in less time than a request may take
  ASSERT_TRUE(eventually([&] { return has_completed(job, 1); }));
  EXPECT_EQ(posted, 2);
  EXPECT_EQ(rows_of(job, "completed"), 1);
}

using TakeoverByTheSameNode = Takeover;

TEST_P(TakeoverByTheSameNode, AStopLeavesNothingThatTheNextStartMustWaitFor) {
  nodes.add({kLongLease});
  auto running = enqueue_post("/gone");
  auto next = enqueue_post("/");
  ASSERT_TRUE(eventually([&] { return posted == 1; }));
  EXPECT_EQ(nodes.terminate(0).code, 0) << nodes[0].errors();
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs WHERE status = 'processing'"), 0);
  nodes.start(0);
  ASSERT_TRUE(eventually([&] { return has_completed(running) && has_completed(next); }));
}

std::string name_of(const testing::TestParamInfo<SqlKind>& info) {
  return info.param == SqlKind::kSqlite ? "sqlite" : "postgres";
}

INSTANTIATE_TEST_SUITE_P(, Takeover, testing::Values(SqlKind::kSqlite, SqlKind::kPostgres), name_of);
INSTANTIATE_TEST_SUITE_P(, TakeoverByTheSameNode, testing::Values(SqlKind::kSqlite), name_of);
INSTANTIATE_TEST_SUITE_P(, TakeoverByAnotherNode, testing::Values(SqlKind::kPostgres), name_of);

}  // namespace
}  // namespace hearth::tests
