// Live state in memory over PostgreSQL: one Hearth in front of a database that others use too.

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hearth/drivers/postgres/connection.h"
#include "hearth/drivers/postgres/test_server.h"
#include "hearth/drivers/redis/test_servers.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/server_process.h"

namespace hearth::tests {
namespace {

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

class MemoryOnPostgres : public testing::Test {
 protected:
  ServerOptions options(const char* data = "data") {
    return {.data = folder.path() / data, .flags = {"--flush.interval_ms=10"}, .environment = {"DATABASE_URL=" + url}};
  }
  static Answer like(ServerProcess& server, const std::string& post, const std::string& session) {
    return HttpClient(server.port()).call("PUT", "/api/posts/" + post + "/like", R"({"sessionId":")" + session + "\"}");
  }
  static std::int64_t likes(ServerProcess& server, const std::string& post) {
    return HttpClient(server.port()).get("/api/posts/" + post + "/likes").json().at("likes").as_int64();
  }
  static Answer ready(ServerProcess& server) { return HttpClient(server.port()).get("/readyz"); }
  static void flush(ServerProcess& server) { ASSERT_EQ(HttpClient(server.port()).post("/api/admin/flush", "").status, 200); }
  static void wait_until(const std::function<bool()>& is_so) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!is_so()) ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it does not come about";
  }

  std::int64_t number(const std::string& sql) { return postgres::Connection::connect({.url = url}).query(sql).first().integer(0); }
  void execute(const std::string& sql) { postgres::Connection::connect({.url = url}).execute(sql); }
  // As if its Hearth had been silent for longer than a lease.
  void end_lease() { execute("UPDATE outbox_cursors SET lease_until = now() - interval '1 hour'"); }
  void expect_sql(const std::string& post, std::int64_t count) {
    EXPECT_EQ(number("SELECT likes FROM post_counts WHERE post_id = '" + post + "'"), count);
    EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = '" + post + "'"), count);
  }
  std::string error_of_start(const ServerOptions& other) {
    try {
      ServerProcess server(other);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "it serves";
  }

  sqlite::TemporaryFolder folder;
  postgres::PostgresServer database;
  const std::string url = database.create_database("likes");
};

TEST_F(MemoryOnPostgres, LikesReachTheRatingsTheCountsAndThePost) {
  ServerProcess server(options());
  HttpClient http(server.port());
  ASSERT_EQ(http.call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
  ASSERT_EQ(http.post("/api/posts", R"({"id":"p","authorId":"ada"})").status, 201);
  for (const char* session : {"a", "b", "c"}) ASSERT_EQ(like(server, "p", session).status, 200);
  flush(server);
  expect_sql("p", 3);
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'p'"), 3);
  EXPECT_HAS(http.get("/metrics").body, "hearth_sql_reachable 1");
  EXPECT_EQ(server.terminate().code, 0);
}

TEST_F(MemoryOnPostgres, ASecondHearthIsRefusedAndToldWhoHasTheLikes) {
  ServerProcess server(options());
  auto error = error_of_start(options("other"));
  EXPECT_HAS(error, "another Hearth has its likes in this database");
  EXPECT_HAS(error, (folder.path() / "data").string());
  EXPECT_EQ(like(server, "p", "a").status, 200);
  EXPECT_EQ(ready(server).status, 200);
}

TEST_F(MemoryOnPostgres, AKilledServerStartsAgainAtOnceAndLosesNothing) {
  ServerProcess server(options());
  for (int i = 0; i < 50; ++i) ASSERT_EQ(like(server, "p", "s" + std::to_string(i)).status, 200);
  server.kill();
  server.start();
  EXPECT_EQ(likes(server, "p"), 50);
  flush(server);
  expect_sql("p", 50);
}

TEST_F(MemoryOnPostgres, LikesGoOnWhilePostgresIsAwayAndFollowWhenItIsBack) {
  ServerProcess server(options());
  ASSERT_EQ(like(server, "cold", "a").status, 200);
  ASSERT_EQ(server.terminate().code, 0);
  server.start();  // with nothing in memory
  ASSERT_EQ(like(server, "p", "a").status, 200);
  flush(server);
  database.kill();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(like(server, "p", "s" + std::to_string(i)).status, 200);
  EXPECT_EQ(likes(server, "p"), 21);
  // It serves, and says what it serves without.
  wait_until([&] { return ready(server).json().as_object().contains("degraded"); });
  EXPECT_EQ(ready(server).status, 200);
  EXPECT_EQ(like(server, "cold", "b").status, 503);  // who likes it is known to SQL alone

  database.start();
  wait_until([&] { return HttpClient(server.port()).post("/api/admin/flush", "").status == 200; });
  expect_sql("p", 21);
  wait_until([&] { return !ready(server).json().as_object().contains("degraded"); });
  EXPECT_EQ(like(server, "cold", "b").json().at("newCount").as_int64(), 2);
  EXPECT_EQ(server.terminate().code, 0);
}

TEST_F(MemoryOnPostgres, WithoutPostgresThereIsNoStartAndNoPasswordInTheMessage) {
  database.kill();
  auto away = options();
  away.environment = {"DATABASE_URL=postgres://hearth:hidden-key@127.0.0.1:" + std::to_string(database.port()) + "/likes"};
  auto error = error_of_start(away);
  EXPECT_HAS(error, "PostgreSQL cannot be reached; see database.url");
  EXPECT_EQ(error.find("hidden-key"), std::string::npos) << error;
}

TEST_F(MemoryOnPostgres, AJournalThatTheDatabaseHasNotFollowedIsRefusedIfItHoldsLikes) {
  ServerProcess first(options("first"));
  ASSERT_EQ(like(first, "p", "a").status, 200);
  flush(first);
  ASSERT_EQ(first.terminate().code, 0);
  end_lease();
  {
    ServerProcess second(options("second"));  // a new folder
    ASSERT_EQ(like(second, "p", "b").status, 200);
    EXPECT_EQ(likes(second, "p"), 2);
    ASSERT_EQ(second.terminate().code, 0);
  }
  end_lease();
  EXPECT_HAS(error_of_start(options("first")), "the database has followed another journal");
  std::filesystem::remove(folder.path() / "first/journal.db");
  first.start();
  EXPECT_EQ(likes(first, "p"), 2);
}

TEST_F(MemoryOnPostgres, BesideHearthsWithRedisItDoesNotStart) {
  redis::RedisServer redis;
  auto with_redis = options();
  with_redis.environment.push_back("REDIS_URL=" + redis.url());
  ServerProcess server(with_redis);
  EXPECT_HAS(error_of_start(options("other")), "are served from there now");
  redis.kill();
  wait_until([&] { return like(server, "p", "a").json().as_object().contains("degraded"); });
  EXPECT_HAS(error_of_start(options("other")), "are in a Redis that is away");
}

TEST_F(MemoryOnPostgres, ALostLeaseMakesItNotReadyAndNothingMoreIsFlushed) {
  ServerProcess server(options());
  ASSERT_EQ(like(server, "p", "a").status, 200);
  flush(server);
  execute("UPDATE outbox_cursors SET owner = 'someone', fence = fence + 1, lease_until = now() + interval '1 hour'");
  wait_until([&] { return ready(server).status == 503; });
  like(server, "p", "b");
  EXPECT_EQ(server.terminate().code, 0);  // tries to flush
  expect_sql("p", 1);
}

TEST_F(MemoryOnPostgres, WhatAnotherProgramWritesToTheRatingsIsSeen) {
  ServerProcess server(options());
  ASSERT_EQ(like(server, "p", "a").status, 200);
  flush(server);
  execute("INSERT INTO post_ratings (post_id, session_id) VALUES ('p', 'b'), ('p', 'c'); DELETE FROM post_ratings WHERE session_id = 'a'");
  wait_until([&] { return likes(server, "p") == 2 && number("SELECT count(*) FROM like_inbox") == 0; });
  flush(server);
  expect_sql("p", 2);
}

}  // namespace
}  // namespace hearth::tests
