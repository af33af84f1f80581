// Rate limits of the whole executable: what a newcomer tries, two nodes on one Redis, kills, and rules that change.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/hearth_nodes.h"
#include "tests/support/job_nodes.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

using redis::eventually;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr char kRules[] =
    R"({"rules":[{"name":"reads","routes":["GET /api/posts/{postId}/likes"],"identity":"address","limit":LIMIT,"windowMs":WINDOW}]})";

std::string rules(const std::string& limit, const std::string& window_ms) {
  std::string text = kRules;
  text.replace(text.find("LIMIT"), 5, limit);
  text.replace(text.find("WINDOW"), 6, window_ms);
  return text;
}

std::string check(const std::string& key, int limit, int window_ms, const std::string& more = "") {
  return R"({"key":")" + key + R"(","limit":)" + std::to_string(limit) + R"(,"windowMs":)" + std::to_string(window_ms) + more + "}";
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

class RateLimit : public testing::Test {
 protected:
  const std::filesystem::path data() const { return folder.path() / "data"; }

  sqlite::TemporaryFolder folder;
};

TEST_F(RateLimit, OneHundredAndFiftyCallsAtALimitOfOneHundred) {
  auto file = folder.path() / "rules.json";
  write_file(file, rules("100", "3600000"));
  ServerProcess server({.data = data(), .flags = {"--ratelimit.rules_file=" + file.string()}});
  HttpClient http(server.port());
  int allowed = 0;
  int refused = 0;
  for (int i = 0; i < 150; ++i) {
    auto answer = http.get("/api/posts/p/likes");
    (answer.status == 200 ? allowed : refused) += 1;
    EXPECT_EQ(answer.header("x-ratelimit-limit"), "100");
    EXPECT_EQ(answer.header("x-ratelimit-remaining"), std::to_string(std::max(0, 99 - i)));
    EXPECT_TRUE(answer.header("x-ratelimit-reset"));
    EXPECT_TRUE(answer.header("ratelimit"));
    EXPECT_TRUE(answer.header("ratelimit-policy"));
    if (answer.status == 200) continue;
    EXPECT_EQ(answer.status, 429);
    EXPECT_TRUE(answer.header("retry-after"));
    auto problem = answer.json();
    EXPECT_EQ(text_of(problem, "error"), "Rate limit exceeded");
    EXPECT_EQ(text_of(problem, "code"), "rate_limited");
    EXPECT_EQ(std::to_string(problem.at("retryAfter").as_int64()), answer.header("retry-after"));
  }
  EXPECT_EQ(allowed, 100);
  EXPECT_EQ(refused, 50);
  auto top = http.get("/api/admin/ratelimit/top");
  EXPECT_EQ(top.status, 200);
  EXPECT_NE(top.body.find("reads"), std::string::npos);
}

TEST_F(RateLimit, TheSameAsAService) {
  ServerProcess server({.data = data()});
  HttpClient http(server.port());
  int allowed = 0;
  for (int i = 0; i < 150; ++i) {
    allowed += expect_answer(200, http.post("/api/ratelimit/check", check("k", 100, 3'600'000))).at("success").as_bool() ? 1 : 0;
  }
  EXPECT_EQ(allowed, 100);
}

TEST_F(RateLimit, WhoWaitsAsLongAsToldIsLetThrough) {
  auto file = folder.path() / "rules.json";
  write_file(file, rules("2", "700"));
  ServerProcess server({.data = data(), .flags = {"--ratelimit.rules_file=" + file.string()}});
  HttpClient http(server.port());
  for (int round = 0; round < 3; ++round) {
    Answer answer;
    for (int i = 0; i < 3; ++i) answer = http.get("/api/posts/p/likes");
    ASSERT_EQ(answer.status, 429);
    std::this_thread::sleep_for(std::chrono::seconds(std::stoi(*answer.header("retry-after"))));
    EXPECT_EQ(http.get("/api/posts/p/likes").status, 200);
    EXPECT_EQ(http.get("/api/posts/p/likes").status, 200);
  }
}

TEST_F(RateLimit, OfRequestsWithOneIdempotencyKeyAtOnceOneTakes) {
  ServerProcess server({.data = data()});
  std::vector<std::string> bodies(8);
  {
    std::barrier all(static_cast<std::ptrdiff_t>(bodies.size()));
    std::vector<std::jthread> clients;
    for (auto& body : bodies) {
      clients.emplace_back([&] {
        HttpClient http(server.port());
        http.connect();
        all.arrive_and_wait();
        body = http.post("/api/ratelimit/check", check("k", 10, 600'000), {{"Idempotency-Key", "once"}}).body;
      });
    }
  }
  for (const auto& body : bodies) EXPECT_EQ(body, bodies.front());
  HttpClient http(server.port());
  EXPECT_EQ(expect_answer(200, http.get("/api/ratelimit/status?key=k&limit=10&windowMs=600000")).at("remaining").as_int64(), 9);
}

TEST_F(RateLimit, AStopForgetsNothingAndAKillItsLastMomentAtMost) {
  constexpr int kTaken = 60;
  constexpr int kLimit = 100;
  ServerProcess server({.data = data()});
  auto of = [](const std::string& algorithm) { return R"(,"algorithm":")" + algorithm + "\""; };
  auto left = [&](const std::string& algorithm) {
    HttpClient http(server.port());
    return expect_answer(200, http.get("/api/ratelimit/status?key=k&limit=100&windowMs=86400000&algorithm=" + algorithm))
        .at("remaining")
        .as_int64();
  };
  const std::vector<std::string> algorithms = {"sliding_window", "gcra", "fixed_window"};
  HttpClient http(server.port());
  for (const auto& algorithm : algorithms) {
    for (int i = 0; i < kTaken; ++i) http.post("/api/ratelimit/check", check("k", kLimit, 86'400'000, of(algorithm)));
  }
  EXPECT_EQ(server.terminate().code, 0);
  server.start();
  for (const auto& algorithm : algorithms) EXPECT_EQ(left(algorithm), kLimit - kTaken) << algorithm;

  HttpClient again(server.port());
  for (int i = 0; i < 10; ++i) again.post("/api/ratelimit/check", check("k", kLimit, 86'400'000));
  server.kill();
  server.start();
  EXPECT_GE(left("sliding_window"), kLimit - kTaken - 10);
  EXPECT_LE(left("sliding_window"), kLimit - kTaken);
  EXPECT_EQ(left("fixed_window"), kLimit - kTaken);
}

TEST_F(RateLimit, RulesChangeWithoutARestart) {
  auto file = folder.path() / "rules.json";
  write_file(file, rules("5", "60000"));
  ServerProcess server({.data = data(), .flags = {"--ratelimit.rules_file=" + file.string()}});
  HttpClient http(server.port());
  auto limit = [&] { return http.get("/api/posts/p/likes").header("x-ratelimit-limit").value_or(""); };
  EXPECT_EQ(limit(), "5");
  write_file(file, rules("700", "60000"));
  kill(server.id(), SIGHUP);
  EXPECT_TRUE(eventually([&] { return limit() == "700"; }));

  // What is wrong is refused, and changes nothing.
  write_file(file, R"({"rules":[{"name":"reads"}]})");
  kill(server.id(), SIGHUP);
  ASSERT_TRUE(eventually([&] { return server.errors().find("rules[0]") != std::string::npos; })) << server.errors();
  EXPECT_EQ(limit(), "700");
  auto refused = http.call("PUT", "/api/admin/ratelimit/rules", rules("0", "60000"));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(text_of(refused.json(), "field"), "rules[0].limit");

  // An administrator's rules stand above the file, also after a restart, until they are taken back.
  expect_answer(200, http.call("PUT", "/api/admin/ratelimit/rules", rules("900", "60000")));
  EXPECT_EQ(limit(), "900");
  write_file(file, rules("800", "60000"));
  EXPECT_EQ(server.terminate().code, 0);
  server.start();
  HttpClient again(server.port());
  EXPECT_EQ(again.get("/api/posts/p/likes").header("x-ratelimit-limit"), "900");
  expect_answer(200, again.call("DELETE", "/api/admin/ratelimit/rules"));
  EXPECT_EQ(again.get("/api/posts/p/likes").header("x-ratelimit-limit"), "800");
}

// --- several nodes ---

struct Admission {
  SteadyTime sent;
  SteadyTime answered;
};

class RateLimitOnRedis : public testing::Test {
 protected:
  redis::RedisServer redis{{}};
  const std::string database = shared_postgres().create_database("limits");
  HearthNodes nodes{database};
};

std::chrono::seconds load_time() {
  const char* text = std::getenv("HEARTH_LIMIT_SECONDS");
  return std::chrono::seconds(text == nullptr ? 5 : std::atoi(text));
}

TEST_F(RateLimitOnRedis, TwoNodesAdmitNoMoreThanTheLimitInAnyWindow) {
  constexpr std::size_t kClients = 64;
  constexpr int kLimit = 100;
  constexpr std::chrono::milliseconds kWindow{1'000};
  for (int i = 0; i < 2; ++i) nodes.add(redis.url());
  std::mutex mutex;
  std::vector<Admission> admissions;
  std::atomic<std::uint64_t> asked{0};
  auto began = std::chrono::steady_clock::now();
  auto ends = began + load_time();
  {
    std::vector<std::jthread> clients;
    for (std::size_t i = 0; i < kClients; ++i) {
      clients.emplace_back([&, i] {
        auto http = nodes.client(i % 2);
        while (std::chrono::steady_clock::now() < ends) {
          Admission admission{.sent = std::chrono::steady_clock::now(), .answered = {}};
          auto answer = http.post("/api/ratelimit/check", check("shared", kLimit, static_cast<int>(kWindow.count())));
          admission.answered = std::chrono::steady_clock::now();
          ++asked;
          if (answer.status != 200 || !answer.json().at("success").as_bool()) continue;
          std::lock_guard lock(mutex);
          admissions.push_back(admission);
        }
      });
    }
  }
  // What was sent and answered within a window was admitted in it.
  std::ranges::sort(admissions, {}, &Admission::sent);
  std::size_t most = 0;
  for (std::size_t i = 0; i < admissions.size(); ++i) {
    auto end = admissions[i].sent + kWindow;
    auto within = std::count_if(admissions.begin() + static_cast<std::ptrdiff_t>(i), admissions.end(),
                                [&](const Admission& one) { return one.answered < end; });
    most = std::max(most, static_cast<std::size_t>(within));
  }
  auto windows = static_cast<std::size_t>((std::chrono::steady_clock::now() - began) / kWindow) + 1;
  std::cout << asked << " asked, " << admissions.size() << " admitted, at most " << most << " in a window\n";
  EXPECT_LE(most, static_cast<std::size_t>(kLimit));
  EXPECT_LE(admissions.size(), windows * kLimit);
  EXPECT_GE(admissions.size(), static_cast<std::size_t>(load_time().count()) * kLimit - kLimit) << "places stayed empty";
}

TEST_F(RateLimitOnRedis, WhileRedisIsAwayThePolicyDecides) {
  nodes.add(redis.url());
  auto http = nodes.client(0);
  auto ask = [&](const std::string& policy) {
    return expect_answer(200, http.post("/api/ratelimit/check", check("k-" + policy, 2, 600'000, R"(,"onFailure":")" + policy + "\"")))
        .at("success")
        .as_bool();
  };
  for (const char* policy : {"open", "closed", "local"}) EXPECT_TRUE(ask(policy));
  redis.kill();
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(ask("open"));
    EXPECT_FALSE(ask("closed"));
    EXPECT_EQ(ask("local"), i < 2) << "the node's own memory begins anew";
  }
  redis.restart();
  EXPECT_TRUE(eventually([&] { return ask("closed"); }));
}

TEST_F(RateLimitOnRedis, EachNodeLimitsForItselfWhereRedisIsSwitchedOffForLimits) {
  for (int i = 0; i < 2; ++i) nodes.add(redis.url(), {"--ratelimit.redis_enabled=false"});
  for (std::size_t node = 0; node < 2; ++node) {
    auto http = nodes.client(node);
    for (int i = 0; i < 4; ++i) {
      auto answer = expect_answer(200, http.post("/api/ratelimit/check", check("k", 2, 600'000)));
      EXPECT_EQ(answer.at("success").as_bool(), i < 2);
    }
  }
}

TEST_F(RateLimitOnRedis, RulesOfAnAdministratorReachAllNodes) {
  for (int i = 0; i < 2; ++i) nodes.add(redis.url());
  expect_answer(200, nodes.client(0).call("PUT", "/api/admin/ratelimit/rules", rules("10", "60000")));
  for (std::size_t node = 0; node < 2; ++node) {
    EXPECT_TRUE(eventually([&] { return nodes.client(node).get("/api/posts/p/likes").header("x-ratelimit-limit") == "10"; })) << node;
  }
  // One count for both.
  int allowed = 0;
  for (std::size_t i = 0; i < 30; ++i) allowed += nodes.client(i % 2).get("/api/posts/p/likes").status == 200 ? 1 : 0;
  EXPECT_LT(allowed, 10);
  EXPECT_EQ(nodes.client(0).get("/api/posts/p/likes").status, 429);
  EXPECT_EQ(nodes.client(1).get("/api/posts/p/likes").status, 429);
}

}  // namespace
}  // namespace hearth::tests
