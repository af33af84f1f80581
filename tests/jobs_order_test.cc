// Which job comes next, and that each comes once, while many ask at once over HTTP: priority, time, paused and limited types,
// idempotency keys.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <boost/json/value.hpp>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "hearth/base/clock.h"
#include "tests/support/http_client.h"
#include "tests/support/job_nodes.h"

namespace hearth::tests {
namespace {

using redis::eventually;
using std::chrono::steady_clock;

// Runs `work(i)` on a thread each, and throws what one of them threw.
void at_once(std::size_t count, const std::function<void(std::size_t)>& work) {
  std::vector<std::exception_ptr> failures(count);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      try {
        work(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

struct Taken {
  std::string id;
  std::string type;
  std::int64_t number;  // of its payload
  std::string lease_token;
};

std::vector<Taken> claim(HttpClient& http, const std::string& types, int limit, int wait_ms = 0) {
  auto body = R"({"workerId":"tests","jobTypes":[)" + types + R"(],"limit":)" + std::to_string(limit) + R"(,"waitMs":)" +
              std::to_string(wait_ms) + "}";
  auto answer = expect_answer(200, http.post("/api/jobs/claim", body));
  std::vector<Taken> taken;
  for (const auto& job : answer.at("jobs").as_array()) {
    taken.push_back({text_of(job, "id"), text_of(job, "jobType"), job.at_pointer("/payload/n").as_int64(), text_of(job, "leaseToken")});
  }
  return taken;
}

void complete(HttpClient& http, const std::vector<Taken>& jobs) {
  for (const auto& job : jobs) {
    expect_answer(200, http.post("/api/jobs/" + job.id + "/complete", R"({"leaseToken":")" + job.lease_token + "\"}"));
  }
}

std::string job_text(const std::string& type, std::int64_t number, const std::string& fields) {
  return R"({"jobType":")" + type + R"(","payload":{"n":)" + std::to_string(number) + "}" + fields + "}";
}

void enqueue(HttpClient http, const std::vector<std::string>& jobs) {
  constexpr std::size_t kPerCall = 500;
  for (std::size_t from = 0; from < jobs.size(); from += kPerCall) {
    std::string body = R"({"jobs":[)";
    for (std::size_t i = from; i < std::min(jobs.size(), from + kPerCall); ++i) body += (i == from ? "" : ",") + jobs[i];
    expect_answer(200, http.post("/api/jobs/bulk", body + "]}"));
  }
}

class JobsOrder : public testing::TestWithParam<SqlKind> {
 protected:
  JobsOrder() {
    nodes.add();
    if (GetParam() == SqlKind::kPostgres) nodes.add();
  }
  void TearDown() override {
    if (HasFailure()) std::cout << nodes.errors();
  }

  HttpClient any_client(std::size_t i) { return nodes.client(i % nodes.size()); }
  void set(const std::string& method, const std::string& target, const std::string& body = "") {
    expect_answer(200, nodes.client().call(method, "/api/admin/job-types/" + target, body));
  }

  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
  JobNodes nodes{GetParam()};
  const JobTables tables = nodes.tables();
};

// Other types that are worked on meanwhile.
class Noise {
 public:
  explicit Noise(std::vector<HttpClient> clients) : clients_(std::move(clients)) {
    for (auto& http : clients_) {
      threads_.emplace_back([this, &http] {
        while (!is_over_) {
          enqueue_some(http);
          complete(http, claim(http, R"("noise")", 10));
        }
      });
    }
  }
  ~Noise() {
    is_over_ = true;
    for (auto& thread : threads_) thread.join();
  }

 private:
  static void enqueue_some(HttpClient& http) {
    std::string body = R"({"jobs":[)";
    for (int i = 0; i < 10; ++i) body += (i == 0 ? "" : ",") + job_text("noise", i, R"(,"priority":)" + std::to_string(i));
    expect_answer(200, http.post("/api/jobs/bulk", body + "]}"));
  }

  std::atomic<bool> is_over_{false};
  std::vector<HttpClient> clients_;
  std::vector<std::thread> threads_;
};

TEST_P(JobsOrder, AClaimNeverTakesALowerPriorityThanALaterOneFinds) {
  constexpr std::size_t kJobs = 1'000;
  constexpr std::size_t kClaimers = 8;
  std::vector<std::string> jobs;
  for (std::size_t i = 0; i < kJobs; ++i) {
    auto priority = static_cast<std::int64_t>(random() % 11);
    jobs.push_back(job_text(random() % 2 == 0 ? "one" : "other", priority, R"(,"priority":)" + std::to_string(priority)));
  }
  enqueue(nodes.client(), jobs);

  struct Claimed {
    steady_clock::time_point began, ended;
    std::vector<Taken> jobs;
  };
  std::mutex mutex;
  std::vector<Claimed> claims;
  {
    std::vector<HttpClient> clients;
    for (std::size_t i = 0; i < 2; ++i) clients.push_back(any_client(i));
    Noise noise(std::move(clients));
    at_once(kClaimers, [&](std::size_t i) {
      auto http = any_client(i);
      for (;;) {
        auto began = steady_clock::now();
        auto taken = claim(http, R"("one","other")", 7);
        auto ended = steady_clock::now();
        if (taken.empty()) return;
        complete(http, taken);
        std::lock_guard lock(mutex);
        claims.push_back({began, ended, std::move(taken)});
      }
    });
  }

  std::set<std::string> ids;
  for (const auto& one : claims) {
    for (const auto& job : one.jobs) ids.insert(job.id);
    auto least = std::ranges::min(one.jobs, {}, &Taken::number).number;
    for (const auto& other : claims) {
      if (other.began < one.ended) continue;
      auto most = std::ranges::max(other.jobs, {}, &Taken::number).number;
      ASSERT_GE(least, most) << "a claim left a job behind for one that began when it had ended";
    }
  }
  EXPECT_EQ(ids.size(), kJobs);
}

TEST_P(JobsOrder, NothingStartsBeforeItsTimeAndAllSoonAfter) {
  constexpr std::size_t kJobs = 200;
  constexpr std::int64_t kLateMax = 2'000'000 * kSlowness;
  auto now = tables.now();
  std::vector<std::string> jobs;
  for (std::size_t i = 0; i < kJobs; ++i) {
    UtcMicros due{std::chrono::microseconds(now + static_cast<std::int64_t>(random() % 4'000) * 1'000)};
    jobs.push_back(job_text("timed", 0, R"(,"scheduledFor":")" + to_rfc3339(due) + "\""));
  }
  enqueue(nodes.client(), jobs);
  std::atomic<std::size_t> done{0};
  {
    std::vector<HttpClient> clients;
    clients.push_back(nodes.client());
    Noise noise(std::move(clients));
    at_once(4, [&](std::size_t i) {
      auto http = any_client(i);
      auto deadline = steady_clock::now() + kPatience;
      while (done < kJobs && steady_clock::now() < deadline) {
        auto taken = claim(http, R"("timed")", 10, 500);
        complete(http, taken);
        done += taken.size();
      }
    });
  }
  EXPECT_EQ(done, kJobs);
  auto late = "(" + tables.micros("started_at") + " - " + tables.micros("scheduled_for") + ")";
  EXPECT_GE(tables.number("SELECT min(" + late + ") FROM job_history WHERE job_type = 'timed'"), 0);
  EXPECT_LE(tables.number("SELECT max(" + late + ") FROM job_history WHERE job_type = 'timed'"), kLateMax);
}

TEST_P(JobsOrder, APausedTypeAndALimitedOneStarveNoOther) {
  constexpr std::int64_t kEach = 300;
  constexpr int kRate = 5;
  set("POST", "paused/pause");
  set("PUT", "limited", R"({"rate":{"count":5,"windowMs":3600000}})");
  std::vector<std::string> jobs;
  for (std::int64_t i = 0; i < kEach; ++i) {
    jobs.push_back(job_text("paused", i, R"(,"priority":10)"));
    jobs.push_back(job_text("limited", i, R"(,"priority":9)"));
    jobs.push_back(job_text("plain", i, ""));
  }
  std::ranges::shuffle(jobs, random);
  enqueue(nodes.client(), jobs);

  std::mutex mutex;
  std::map<std::string, std::int64_t> taken_by_type;
  auto take_all = [&](const std::string& types) {
    at_once(4, [&](std::size_t i) {
      auto http = any_client(i);
      for (;;) {
        auto taken = claim(http, types, 10);
        if (taken.empty()) return;
        complete(http, taken);
        std::lock_guard lock(mutex);
        for (const auto& job : taken) ++taken_by_type[job.type];
      }
    });
  };
  take_all(R"("paused","limited","plain")");
  EXPECT_EQ(taken_by_type["plain"], kEach);
  EXPECT_EQ(taken_by_type["limited"], kRate);
  EXPECT_EQ(taken_by_type["paused"], 0);
  // Whoever asks for anything is not held up by them either.
  EXPECT_TRUE(expect_answer(200, nodes.client().post("/api/jobs/claim", R"({"workerId":"tests"})")).at("jobs").as_array().empty());

  set("POST", "paused/resume");
  set("PUT", "limited", "{}");
  take_all(R"("paused","limited","plain")");
  EXPECT_EQ(taken_by_type["limited"], kEach);
  EXPECT_EQ(taken_by_type["paused"], kEach);
  EXPECT_EQ(tables.number("SELECT count(*) FROM background_jobs"), 0);
}

TEST_P(JobsOrder, ALimitHoldsInEveryWindowOverAllNodes) {
  constexpr std::size_t kJobs = 40;
  constexpr std::size_t kCount = 10;
  constexpr std::int64_t kWindow = 1'000'000;
  set("PUT", "limited", R"({"rate":{"count":10,"windowMs":1000}})");
  std::vector<std::string> jobs;
  for (std::size_t i = 0; i < kJobs; ++i) jobs.push_back(job_text("limited", 0, ""));
  enqueue(nodes.client(), jobs);
  std::atomic<std::size_t> done{0};
  at_once(4, [&](std::size_t i) {
    auto http = any_client(i);
    auto deadline = steady_clock::now() + kPatience;
    while (done < kJobs && steady_clock::now() < deadline) {
      auto taken = claim(http, R"("limited")", 4, 500);
      done += taken.size();
      complete(http, taken);
    }
  });
  ASSERT_EQ(done, kJobs);  // none is left behind
  std::vector<std::int64_t> starts;
  for (const auto& start : tables.texts("SELECT CAST(" + tables.micros("started_at") + " AS text) FROM job_history ORDER BY started_at")) {
    starts.push_back(std::stoll(start));
  }
  ASSERT_EQ(starts.size(), kJobs);
  for (std::size_t i = kCount; i < kJobs; ++i) EXPECT_GE(starts[i] - starts[i - kCount], kWindow) << i;
}

TEST_P(JobsOrder, OneKeyFromManyClientsAtOnceMakesOneJob) {
  constexpr std::size_t kClients = 64;
  const std::string body = job_text("once", 1, R"(,"idempotencyKey":"the-key")");
  auto ask_at_once = [&](std::size_t expected_new) {
    std::barrier all_ready(kClients);
    std::atomic<std::size_t> made{0};
    std::mutex mutex;
    std::set<std::string> ids;
    at_once(kClients, [&](std::size_t i) {
      auto http = any_client(i);
      http.connect();
      all_ready.arrive_and_wait();
      auto answer = http.post("/api/jobs", body);
      if (answer.status == 201) ++made;
      auto job = expect_answer(answer.status == 201 ? 201 : 200, answer);
      bool is_duplicate = job.as_object().contains("duplicate");
      EXPECT_EQ(is_duplicate, answer.status == 200);
      std::lock_guard lock(mutex);
      ids.insert(text_of(job, "id"));
    });
    EXPECT_EQ(made, expected_new);
    EXPECT_EQ(ids.size(), 1u);
  };
  ask_at_once(1);
  EXPECT_EQ(tables.number("SELECT count(*) FROM background_jobs"), 1);
  auto http = nodes.client();
  complete(http, claim(http, R"("once")", 10));
  ask_at_once(0);  // the key stays taken
  EXPECT_EQ(tables.number("SELECT count(*) FROM background_jobs"), 0);
  EXPECT_EQ(tables.number("SELECT count(*) FROM job_history"), 1);
}

INSTANTIATE_TEST_SUITE_P(, JobsOrder, testing::Values(SqlKind::kSqlite, SqlKind::kPostgres),
                         [](const auto& info) { return info.param == SqlKind::kSqlite ? "sqlite" : "postgres"; });

}  // namespace
}  // namespace hearth::tests
