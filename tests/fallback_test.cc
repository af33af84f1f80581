// Redis away, PostgreSQL away, both away: what goes on, what is refused, and that all agree afterwards.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/hearth_nodes.h"
#include "tests/support/steady_load.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

constexpr char kAda[] = R"({"sessionId":"ada"})";
constexpr char kBob[] = R"({"sessionId":"bob"})";
constexpr std::size_t kNodes = 2;

std::vector<std::string> post_names() {
  return {"p-0", "p-1", "p-2", "p-3", "p-4", "p-5", "p-6", "p-7"};
}

bool is_degraded(const Answer& answer) {
  return answer.status == 200 && answer.json().as_object().contains("degraded");
}

std::int64_t likes_in(const Answer& answer) {
  return answer.json().at("likes").as_int64();
}

class Away : public testing::Test {
 protected:
  void TearDown() override {
    for (std::size_t i = 0; HasFailure() && i < nodes.size(); ++i) std::cout << "node " << i << " said:\n" << nodes[i].errors();
  }

  // Like `path` for a post.
  static std::string of(const std::string& post, const std::string& path) { return "/api/posts/" + post + path; }

  Answer toggle(std::size_t node, const std::string& post, const Headers& headers = {}) {
    return nodes.client(node).post(of(post, "/like"), kAda, headers);
  }
  bool is_answered_from_sql(std::size_t node) { return is_degraded(nodes.client(node).get(of("p-0", "/likes"))); }
  void wait_for_fallback() {
    for (std::size_t i = 0; i < nodes.size(); ++i) ASSERT_TRUE(redis::eventually([&] { return is_answered_from_sql(i); }));
  }
  int readiness(std::size_t node) { return nodes.client(node).get("/readyz").status; }
  void expect_one_truth(const redis::RedisServer& server) {
    nodes.settle();
    for (const auto& what : nodes.differences(RedisReader(server), post_names())) ADD_FAILURE() << what;
  }
  void expect_kept(SteadyLoad& load) {
    for (const auto& what : load.missing_from(nodes.members())) ADD_FAILURE() << what;
    for (const auto& what : load.failures()) ADD_FAILURE() << what;
  }

  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
  postgres::PostgresServer postgres;
  const std::string database = postgres.create_database("away");
  HearthNodes nodes{database};
};

class RedisAway : public Away {
 protected:
  RedisAway() {
    for (auto& proxy : proxies) nodes.add(proxy.url());
    nodes.add_content({"p-0", "p-1"});
  }

  // Every page and read that shows likes.
  void expect_reads_from_sql(std::size_t node, std::int64_t likes) {
    auto http = nodes.client(node);
    for (const char* page :
         {"/api/posts/p-0", "/api/posts/p-0/likes", "/api/rank", "/api/users/ada/posts", "/api/timeline/public", "/api/users/ada/likes"}) {
      auto answer = http.get(page);
      EXPECT_EQ(answer.status, 200) << page << answer.body;
    }
    EXPECT_EQ(likes_in(http.get("/api/posts/p-0/likes")), likes);
    EXPECT_EQ(likes_in(http.get("/api/posts/p-0")), likes);
    auto counts = http.post("/api/likes/counts", R"({"postIds":["p-0"]})");
    EXPECT_TRUE(is_degraded(counts));
    EXPECT_EQ(counts.json().at_pointer("/counts/p-0").as_int64(), likes);
  }

  redis::RedisServer redis{{.appendfsync = "always"}};
  redis::TcpProxy proxies[kNodes] = {redis::TcpProxy(redis.port()), redis::TcpProxy(redis.port())};
};

TEST_F(RedisAway, SqlAnswersAndRedisHasItAllWhenItIsBack) {
  SteadyLoad load({.posts = post_names(), .nodes = kNodes, .seed = seed});
  for (std::size_t i = 0; i < kNodes; ++i) load.serve_from(i, nodes[i].port());
  load.start();
  load.wait_for_answers(500);
  load.expect_loss();
  redis.stop();
  load.wait_for_answers(500);  // now from SQL
  EXPECT_EQ(readiness(0), 200);
  EXPECT_GT(load.counts().degraded, 0u);

  // Whoever has seen a live answer sees no older one.
  redis.restart();
  ASSERT_TRUE(redis::eventually([&] { return !is_answered_from_sql(0) && !is_answered_from_sql(1); }));
  load.wait_for_answers(500);
  load.stop();
  expect_one_truth(redis);
  expect_kept(load);
}

TEST_F(RedisAway, TogglesOfManyConnectionsEndInTheirParity) {
  ASSERT_EQ(toggle(0, "p-0").status, 200);
  nodes.settle();
  redis.stop();
  wait_for_fallback();
  constexpr std::size_t kConnections = 16;
  constexpr std::size_t kToggles = 9;
  std::atomic<std::size_t> likes{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kConnections; ++i) {
    threads.emplace_back([&, i] {
      auto http = nodes.client(i % kNodes);
      for (std::size_t j = 0; j < kToggles; ++j) {
        auto answer = http.post(of("p-0", "/like"), kAda);
        EXPECT_TRUE(is_degraded(answer)) << answer.status << answer.body;
        if (answer.status == 200 && answer.json().at("isLiked").as_bool()) ++likes;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(likes, kConnections * kToggles / 2);  // liked at first, so off, on, off, …, on
  expect_reads_from_sql(0, 1);
  expect_reads_from_sql(1, 1);
  redis.restart();
  expect_one_truth(redis);
  EXPECT_EQ(RedisReader(redis).post("p-0")->sessions, std::set<std::string>{"ada"});
}

// What SQL does not know yet when Redis goes away comes together with what was asked of SQL meanwhile.
TEST_F(RedisAway, WhatSqlIsAskedForHoldsOverWhatStillWaitedInRedis) {
  auto http = nodes.client(0);
  ASSERT_EQ(toggle(0, "p-2").status, 200);
  nodes.settle();
  postgres.stop();  // nothing is flushed
  ASSERT_EQ(http.call("PUT", of("p-2", "/like"), kBob).status, 200);
  ASSERT_EQ(http.call("PUT", of("p-2", "/like"), R"({"sessionId":"eve"})").status, 200);
  redis.kill();
  postgres.start();
  wait_for_fallback();
  // For SQL bob may not like it, so this changes nothing there; but he was answered, and wants it so.
  EXPECT_EQ(http.call("DELETE", of("p-2", "/like"), kBob).status, 200);
  redis.restart();
  expect_one_truth(redis);
  EXPECT_EQ(RedisReader(redis).post("p-2")->sessions, (std::set<std::string>{"ada", "eve"}));
}

TEST_F(RedisAway, ANodeThatAloneIsCutOffIsNotReadyAndDoesNotFallBack) {
  ASSERT_EQ(toggle(0, "p-0").status, 200);
  proxies[1].refuse();
  ASSERT_TRUE(redis::eventually([this] { return readiness(1) == 503; }));
  // Longer than the time after which SQL would take over, by the reports of the other node in SQL.
  auto reported = [this] {
    return postgres_number(database, "SELECT (max(healthy_at) > min(healthy_at) + interval '4 seconds')::int FROM live_reports") == 1;
  };
  ASSERT_TRUE(redis::eventually(reported));
  EXPECT_EQ(readiness(1), 503);
  auto refused = toggle(1, "p-0");
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.header("retry-after"));
  EXPECT_EQ(nodes.client(1).get(of("p-0", "/likes")).status, 503);
  EXPECT_FALSE(is_answered_from_sql(0));
  EXPECT_EQ(toggle(0, "p-0").status, 200);
  proxies[1].resume();
  ASSERT_TRUE(redis::eventually([this] { return readiness(1) == 200; }));
  EXPECT_EQ(likes_in(nodes.client(1).get(of("p-0", "/likes"))), 0);
  expect_one_truth(redis);
}

TEST_F(RedisAway, ComingBackNobodySeesAnOlderCountAfterALiveOne) {
  std::map<std::string, std::int64_t> likes;
  redis.stop();
  wait_for_fallback();
  for (const auto& post : post_names()) {
    for (int i = 0; i < 40; ++i) {
      auto body = R"({"sessionId":"s)" + std::to_string(i) + "\"}";
      ASSERT_EQ(nodes.client(0).call("PUT", of(post, "/like"), body).status, 200);
    }
  }
  std::atomic<bool> is_stopping{false};
  std::vector<std::thread> readers;
  std::atomic<std::size_t> live{0};
  for (std::size_t node = 0; node < kNodes; ++node) {
    readers.emplace_back([&, node] {
      auto http = nodes.client(node);
      bool was_live = false;
      for (std::size_t i = 0; !is_stopping; ++i) {
        auto answer = http.get(of(post_names()[i % 8], "/likes"));
        if (answer.status == 503) continue;
        EXPECT_FALSE(was_live && is_degraded(answer)) << "from SQL after a live answer";
        EXPECT_EQ(likes_in(answer), 40) << answer.body;
        if (!was_live && !is_degraded(answer)) ++live;
        was_live = was_live || !is_degraded(answer);
      }
    });
  }
  redis.restart();
  EXPECT_TRUE(redis::eventually([&] { return live == kNodes; }));
  is_stopping = true;
  for (auto& reader : readers) reader.join();
  expect_one_truth(redis);
}

TEST_F(RedisAway, AKeyThatSqlHasAnsweredIsKnownAfterwards) {
  redis.stop();
  wait_for_fallback();
  const Headers key = {{"Idempotency-Key", "the-key"}};
  auto first = toggle(0, "p-0", key);
  ASSERT_EQ(first.status, 200) << first.body;
  auto again = toggle(1, "p-0", key);
  EXPECT_EQ(again.header("idempotent-replayed"), "true");
  redis.restart();
  expect_one_truth(redis);
  auto later = toggle(1, "p-0", key);
  EXPECT_EQ(later.header("idempotent-replayed"), "true") << later.body;
  for (const auto& answer : {again, later}) {
    for (const char* field : {"isLiked", "newCount", "version"}) EXPECT_EQ(answer.json().at(field), first.json().at(field));
  }
  EXPECT_EQ(nodes.client(0).post(of("p-0", "/like"), kBob, key).status, 409);
  EXPECT_EQ(likes_in(nodes.client(0).get(of("p-0", "/likes"))), 1);
}

TEST_F(RedisAway, AToggleThatRedisMayHaveGotIsNotRunASecondTime) {
  ASSERT_EQ(nodes.client(0).call("PUT", of("p-0", "/like"), R"({"sessionId":"eve"})").status, 200);
  nodes.settle();
  redis.pause();
  std::vector<std::thread> askers;
  for (const char* session : {kAda, kBob}) {
    askers.emplace_back([this, session] {
      auto unknown = nodes.client(0).post(of("p-0", "/like"), session);
      EXPECT_EQ(unknown.status, 503) << unknown.body;
      EXPECT_TRUE(unknown.header("retry-after"));
    });
  }
  for (auto& asker : askers) asker.join();
  wait_for_fallback();
  EXPECT_EQ(postgres_number(database, "SELECT count(*) FROM like_inbox"), 0);
  EXPECT_EQ(nodes.client(0).call("DELETE", of("p-0", "/like"), kBob).status, 200);
  redis.resume();
  expect_one_truth(redis);
  // What was sent was still in the sockets of a server that had only been stopped, and came before what SQL was asked for.
  EXPECT_EQ(RedisReader(redis).post("p-0")->sessions, (std::set<std::string>{"ada", "eve"}));
}

TEST_F(RedisAway, WithSqlAwayTooAllIsRefusedAndComesBack) {
  ASSERT_EQ(toggle(0, "p-0").status, 200);
  postgres.stop();
  redis.stop();
  ASSERT_TRUE(redis::eventually([this] { return readiness(0) == 503 && readiness(1) == 503; }));
  for (std::size_t node = 0; node < kNodes; ++node) {
    for (const auto& answer :
         {toggle(node, "p-0"), nodes.client(node).get(of("p-0", "/likes")), nodes.client(node).get("/api/posts/p-0")}) {
      EXPECT_EQ(answer.status, 503) << answer.body;
      EXPECT_TRUE(answer.header("retry-after"));
    }
    EXPECT_EQ(nodes.client(node).get("/healthz").status, 200);
  }
  redis.restart();
  postgres.start();
  expect_one_truth(redis);
  EXPECT_EQ(likes_in(nodes.client(1).get(of("p-0", "/likes"))), 1);
}

TEST_F(RedisAway, WithoutSqlLikesGoOnAndFollowLater) {
  SteadyLoad load({.posts = post_names(), .nodes = kNodes, .seed = seed});
  for (std::size_t i = 0; i < kNodes; ++i) load.serve_from(i, nodes[i].port());
  for (const auto& post : post_names()) ASSERT_EQ(toggle(0, post).status, 200);  // loaded
  nodes.settle();
  auto entries = RedisReader(redis).outbox_entries();
  postgres.stop();
  load.start();
  load.wait_for_answers(2'000);
  load.stop();
  EXPECT_EQ(load.counts().unanswered, 0u);
  EXPECT_GT(RedisReader(redis).outbox_entries(), entries + 500);
  postgres.start();
  expect_one_truth(redis);
  expect_kept(load);
  // Of each stream the entry at its cursor stays.
  ASSERT_TRUE(redis::eventually([this] { return RedisReader(redis).outbox_entries() <= kPartitions; }));
}

TEST_F(RedisAway, ANodeThatStartsMeanwhileServesFromSql) {
  ASSERT_EQ(toggle(0, "p-0").status, 200);
  nodes.settle();
  redis.stop();
  nodes.add(redis.url());
  wait_for_fallback();
  EXPECT_EQ(likes_in(nodes.client(2).get(of("p-0", "/likes"))), 1);
  EXPECT_TRUE(is_degraded(toggle(2, "p-0")));
  redis.restart();
  expect_one_truth(redis);
  EXPECT_EQ(likes_in(nodes.client(2).get(of("p-0", "/likes"))), 0);
}

// --- memory over PostgreSQL ---

TEST(PostgresAway, LikesInMemoryGoOnAndFollowLater) {
  postgres::PostgresServer postgres;
  auto database = postgres.create_database("memory");
  sqlite::TemporaryFolder folder;
  ServerProcess server({.data = folder.path() / "data", .flags = {"--database-url=" + database}});
  SteadyLoad load({.posts = post_names(), .nodes = 1, .seed = std::random_device{}()});
  load.serve_from(0, server.port());
  for (const auto& post : post_names()) {
    ASSERT_EQ(HttpClient(server.port()).post("/api/posts/" + post + "/like", kAda).status, 200);
  }
  postgres.stop();
  load.start();
  load.wait_for_answers(2'000);
  load.stop();
  EXPECT_EQ(load.counts().unanswered, 0u);
  EXPECT_EQ(HttpClient(server.port()).get("/readyz").status, 200);
  postgres.start();
  ASSERT_TRUE(redis::eventually([&] { return HttpClient(server.port()).post("/api/admin/flush", "").status == 200; }));
  SteadyLoad::Members members;
  for (auto& [post, state] : read_postgres_ledger(database)) {
    EXPECT_EQ(state.likes, static_cast<std::int64_t>(state.sessions.size()));
    EXPECT_EQ(state.likes, likes_in(HttpClient(server.port()).get("/api/posts/" + post + "/likes")));
    members[post] = state.sessions;
  }
  EXPECT_EQ(load.missing_from(members), std::vector<std::string>{});
  EXPECT_EQ(load.failures(), std::vector<std::string>{});
}

// --- order ---

constexpr char kBehind[] =
    "SELECT count(*) FROM posts JOIN post_counts ON post_id = id "
    "WHERE posts.likes <> post_counts.likes OR posts.likes_version <> post_counts.version";

// A watcher of SQL.
class OrderInSql : public testing::TestWithParam<LiveKind> {};

TEST_P(OrderInSql, NoOlderCountComesAfterANewerOneAndAVersionHasOneCount) {
  auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  postgres::PostgresServer postgres;
  auto database = postgres.create_database("order");
  redis::RedisServer redis;
  sqlite::TemporaryFolder folder;
  std::vector<std::string> flags = {"--database-url=" + database, "--flush.interval_ms=10"};
  if (GetParam() == LiveKind::kRedis) flags.push_back("--redis-url=" + redis.url());
  ServerProcess server({.data = folder.path() / "data", .flags = flags});
  ASSERT_EQ(HttpClient(server.port()).call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
  ASSERT_EQ(HttpClient(server.port()).post("/api/posts", R"({"id":"p-0","authorId":"ada"})").status, 201);
  for (const auto& post : post_names()) {
    ASSERT_EQ(HttpClient(server.port()).post("/api/posts/" + post + "/like", kAda).status, 200);  // loaded
  }

  std::atomic<bool> is_stopping{false};
  std::size_t looks = 0;
  std::map<std::string, std::map<std::int64_t, std::int64_t>> likes_at;  // by post and version
  std::thread watcher([&] {
    std::map<std::string, std::int64_t> versions;
    for (; !is_stopping; ++looks) {
      auto ledger = read_postgres_ledger(database);
      for (const auto& [post, state] : ledger) {
        EXPECT_GE(state.version, versions[post]) << post;
        versions[post] = state.version;
        auto [known, is_new] = likes_at[post].emplace(state.version, state.likes);
        EXPECT_EQ(known->second, state.likes) << post;
        EXPECT_EQ(state.likes, static_cast<std::int64_t>(state.sessions.size())) << post;
      }
      EXPECT_EQ(postgres_number(database, kBehind), 0) << "posts.likes and post_counts are written together";
    }
  });
  SteadyLoad load({.posts = post_names(), .nodes = 1, .seed = seed});
  load.serve_from(0, server.port());
  load.start();
  for (int round = 0; round < 12; ++round) {
    load.wait_for_answers(1 + random() % 200);
    postgres.pause();
    load.wait_for_answers(1 + random() % 500);
    postgres.resume();
  }
  load.stop();
  ASSERT_TRUE(redis::eventually([&] { return HttpClient(server.port()).post("/api/admin/flush", "").status == 200; }));
  is_stopping = true;
  watcher.join();
  EXPECT_GT(looks, 1u);
  EXPECT_EQ(load.failures(), std::vector<std::string>{});
  EXPECT_EQ(read_postgres_projection(database)["p-0"], read_postgres_ledger(database)["p-0"].likes);
}

INSTANTIATE_TEST_SUITE_P(, OrderInSql, testing::Values(LiveKind::kMemory, LiveKind::kRedis),
                         [](const auto& info) { return info.param == LiveKind::kRedis ? "Redis" : "Memory"; });

}  // namespace
}  // namespace hearth::tests
