// Other programs read and write Redis and PostgreSQL beside Hearth; and a Redis that does not suit is found at the start.

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <set>
#include <string>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/hearth_nodes.h"
#include "tests/support/json_check.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

using Names = std::set<std::string>;

std::string like(HttpClient http, const std::string& post, const std::string& session) {
  return http.call("PUT", "/api/posts/" + post + "/like", R"({"sessionId":")" + session + "\"}").body;
}

class BesideRedis : public testing::Test {
 protected:
  void SetUp() override {
    nodes.add(redis.url());
    nodes.add_content({"42"});
    like(nodes.client(0), "42", "ana");
    like(nodes.client(0), "42", "bob");
    like(nodes.client(0), "43", "ana");
    nodes.settle();
  }
  std::string text(const std::vector<std::string_view>& words) { return redis.run(words).text; }
  Names members(std::string_view key) {
    Names found;
    for (const auto& member : redis.run({"SMEMBERS", key}).elements) found.insert(member.text);
    return found;
  }
  std::int64_t shown(const std::string& post) { return nodes.client(0).get("/api/posts/" + post + "/likes").json().at("likes").as_int64(); }
  SqlPost in_sql(const std::string& post) { return read_postgres_ledger(database)[post]; }
  std::vector<std::string> differences() { return nodes.differences(RedisReader(redis), {"42", "43", "44"}); }

  redis::RedisServer redis;
  const std::string database = shared_postgres().create_database("beside");
  HearthNodes nodes{database};
};

TEST_F(BesideRedis, TheDocumentedKeysHoldWhatWasLiked) {
  EXPECT_EQ(text({"GET", "post:likes:42"}), "2");
  EXPECT_EQ(text({"GET", "post:likes:43"}), "1");
  EXPECT_EQ(members("post:liked:42"), (Names{"ana", "bob"}));
  EXPECT_EQ(members("session:likes:ana"), (Names{"42", "43"}));
  EXPECT_EQ(members("session:likes:bob"), (Names{"42"}));
  auto version = nodes.client(0).get("/api/posts/42/likes").json().at("version").as_int64();
  EXPECT_EQ(text({"GET", "post:version:42"}), std::to_string(version));
  EXPECT_EQ(RedisReader(redis).post("42"), (RedisPost{.likes = 2, .version = version, .sessions = {"ana", "bob"}}));
}

TEST_F(BesideRedis, WhatTheirScriptAddsShowsAtOnceAndReachesSqlWhenReconciled) {
  redis.run({"EVAL", "redis.call('SADD', KEYS[1], ARGV[1]); redis.call('INCR', KEYS[2]); redis.call('SADD', KEYS[3], ARGV[2])", "3",
             "post:liked:42", "post:likes:42", "session:likes:eve", "eve", "42"});
  EXPECT_EQ(shown("42"), 3);
  EXPECT_TRUE(nodes.client(0).get("/api/posts/42/likes?sessionId=eve").json().at("isLiked").as_bool());
  auto report = nodes.client(0).post("/api/admin/counters/reconcile", R"({"postId":"42"})");
  EXPECT_EQ(find_mismatch(R"({"checked": 1, "drifted": 1, "repaired": 1})", report.json()), "") << report.body;
  nodes.settle();
  EXPECT_EQ(in_sql("42").sessions, (Names{"ana", "bob", "eve"}));
  EXPECT_EQ(differences(), std::vector<std::string>{});
}

TEST_F(BesideRedis, RowsThatTheyInsertAndDeleteReachLiveState) {
  ASSERT_EQ(change_postgres(database, "INSERT INTO post_ratings (post_id, session_id) VALUES ('42', 'eve'), ('44', 'eve')"), 2u);
  EXPECT_TRUE(redis::eventually([this] { return shown("42") == 3 && shown("44") == 1; }));
  EXPECT_TRUE(redis::eventually([this] { return members("session:likes:eve") == Names{"42", "44"}; }));
  ASSERT_EQ(change_postgres(database, "DELETE FROM post_ratings WHERE post_id = '42' AND session_id <> 'bob'"), 2u);
  EXPECT_TRUE(redis::eventually([this] { return shown("42") == 1; }));
  nodes.settle();
  ASSERT_EQ(change_postgres(database, "UPDATE post_ratings SET session_id = 'max' WHERE post_id = '42'"), 1u);
  EXPECT_TRUE(redis::eventually([this] { return members("post:liked:42") == Names{"max"}; }));
  nodes.settle();
  EXPECT_EQ(differences(), std::vector<std::string>{});
  EXPECT_EQ(in_sql("42").sessions, (Names{"max"}));
}

TEST_F(BesideRedis, WhatHearthWritesItselfIsNotTakenForTheirs) {
  EXPECT_EQ(postgres_number(database, "SELECT count(*) FROM post_ratings"), 3);
  EXPECT_EQ(postgres_number(database, "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('like_inbox', 'id')), 0)"), 0);
}

TEST(BesideMemory, RowsThatTheyInsertAndDeleteReachLiveState) {
  auto database = shared_postgres().create_database("beside_memory");
  sqlite::TemporaryFolder folder;
  ServerProcess server({.data = folder.path() / "data", .flags = {"--database-url=" + database}});
  auto shown = [&] { return HttpClient(server.port()).get("/api/posts/42/likes").json().at("likes").as_int64(); };
  like(HttpClient(server.port()), "42", "ana");
  ASSERT_EQ(change_postgres(database, "INSERT INTO post_ratings (post_id, session_id) VALUES ('42', 'eve')"), 1u);
  EXPECT_TRUE(redis::eventually([&] { return shown() == 2; }));
  ASSERT_EQ(change_postgres(database, "DELETE FROM post_ratings WHERE session_id = 'eve'"), 1u);
  EXPECT_TRUE(redis::eventually([&] { return shown() == 1; }));
  ASSERT_EQ(HttpClient(server.port()).post("/api/admin/flush", "").status, 200);
  auto row = read_postgres_ledger(database)["42"];
  EXPECT_EQ(row.likes, 1);
  EXPECT_EQ(row.sessions, (Names{"ana"}));
}

// --- at the start ---

std::vector<std::string> arguments(const std::filesystem::path& data, const std::string& redis_url, const std::string& database) {
  return {"serve", "--listen=127.0.0.1:0", "--data=" + data.string(), "--redis-url=" + redis_url, "--database-url=" + database};
}

TEST(RedisAtTheStart, OfAnotherDeploymentIsRefused) {
  redis::RedisServer redis;
  sqlite::TemporaryFolder folder;
  {
    HearthNodes(shared_postgres().create_database("first")).add(redis.url());
  }
  auto second = run_hearth(arguments(folder.path(), redis.url(), shared_postgres().create_database("second")));
  EXPECT_NE(second.code, 0);
  EXPECT_NE(second.errors.find("another deployment"), std::string::npos) << second.errors;
}

TEST(RedisAtTheStart, ThatEvictsOrForgetsIsReported) {
  redis::RedisServer redis({.is_persistent = false, .config = {"maxmemory 100mb", "maxmemory-policy allkeys-lru"}});
  HearthNodes nodes(shared_postgres().create_database("evicting"));
  auto said = nodes.add(redis.url()).errors();
  EXPECT_NE(said.find("maxmemory-policy noeviction"), std::string::npos) << said;
  EXPECT_NE(said.find("append-only"), std::string::npos) << said;
}

TEST(RedisAtTheStart, ThatKeepsWhatItHoldsIsNotWorthAWord) {
  redis::RedisServer redis;
  HearthNodes nodes(shared_postgres().create_database("keeping"));
  EXPECT_EQ(nodes.add(redis.url()).errors().find("component=likes"), std::string::npos);
}

}  // namespace
}  // namespace hearth::tests
