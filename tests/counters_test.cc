// Another program has changed the SQL files: the counters are brought together again, through HTTP.

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <stdexcept>
#include <string>

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/json_check.h"
#include "tests/support/server_process.h"
#include "tests/support/sql_state.h"

namespace hearth::tests {
namespace {

class Counters : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(server.terminate().code, 0) << server.errors(); }

  void SetUp() override {
    std::string operations;
    for (int i = 0; i < 5; ++i) {
      operations += std::string(i > 0 ? "," : "") + R"({"postId":"p","sessionId":"s)" + std::to_string(i) + R"(","op":"like"})";
    }
    ASSERT_EQ(ask("/api/likes/batch", R"({"operations":[)" + operations + R"(,{"postId":"q","sessionId":"s0","op":"like"}]})").status, 200);
    ASSERT_EQ(ask("/api/admin/flush", "").status, 200);
  }

  Answer ask(const std::string& target, const std::string& body) { return HttpClient(server.port()).post(target, body); }
  std::int64_t likes() { return HttpClient(server.port()).get("/api/posts/p/likes").json().at("likes").as_int64(); }
  // What another program does to ratings.db.
  void change(const char* sql) {
    auto connection = sqlite::Connection::open({.path = folder.path() / "data/ratings.db"});
    auto changed = connection->transaction([&] { connection->execute(sql); });
    if (!changed) throw std::runtime_error(changed.error().message);
  }
  SqlPost in_sql() { return read_ledger(folder.path() / "data")["p"]; }

  sqlite::TemporaryFolder folder;
  ServerProcess server{{.data = folder.path() / "data"}};
};

TEST_F(Counters, ReconcileGivesSqlBackTheRowsThatItLost) {
  change("DELETE FROM ratings WHERE session IN ('s0', 's1') AND post = (SELECT id FROM post_counts WHERE post_id = 'p')");
  auto report = ask("/api/admin/counters/reconcile", "").json();
  EXPECT_EQ(find_mismatch(R"({"checked": 2, "drifted": 1, "repaired": 1, "drift": [{"postId": "p", "live": 5, "sql": 5, "ratings": 3}]})",
                          report),
            "");
  EXPECT_EQ(in_sql().likes, 5);
  EXPECT_EQ(in_sql().sessions.size(), 5u);
  EXPECT_EQ(likes(), 5);
  EXPECT_EQ(find_mismatch(R"({"drifted": 0})", ask("/api/admin/counters/reconcile", R"({"postId":"p"})").json()), "");
}

TEST_F(Counters, ReconcileOfOnePostComparesWhoLikesIt) {
  change("UPDATE ratings SET session = 'stranger' WHERE session = 's0' AND post = (SELECT id FROM post_counts WHERE post_id = 'p')");
  auto report = ask("/api/admin/counters/reconcile", R"({"postId":"p"})").json();
  EXPECT_EQ(find_mismatch(R"({"checked": 1, "drifted": 1, "repaired": 1})", report), "");
  EXPECT_FALSE(in_sql().sessions.contains("stranger"));
  EXPECT_TRUE(in_sql().sessions.contains("s0"));
}

TEST_F(Counters, ReconcileSetsACountThatSqlHasWrong) {
  change("UPDATE post_counts SET likes = 99 WHERE post_id = 'p'");
  EXPECT_EQ(find_mismatch(R"({"drifted": 1, "repaired": 1})", ask("/api/admin/counters/reconcile", "").json()), "");
  EXPECT_EQ(in_sql().likes, 5);
  EXPECT_EQ(likes(), 5);
}

TEST_F(Counters, ADryRunSaysWhatDiffersAndChangesNothing) {
  change("UPDATE post_counts SET likes = 99 WHERE post_id = 'p'");
  EXPECT_EQ(find_mismatch(R"({"drifted": 1, "repaired": 0})", ask("/api/admin/counters/reconcile", R"({"dryRun":true})").json()), "");
  EXPECT_EQ(in_sql().likes, 99);
}

TEST_F(Counters, TheCommandGoesThroughTheServerOrDoesItItself) {
  auto data = "--data=" + (folder.path() / "data").string();
  change("UPDATE post_counts SET likes = 99 WHERE post_id = 'p'");
  auto looked = run_hearth({"reconcile", data, "--dry-run"});
  EXPECT_EQ(looked.code, 0) << looked.errors;
  EXPECT_EQ(looked.output, "p: live 5, SQL 99, ratings 5\ncompared 2 posts: 1 differed, 0 repaired; nothing was changed\n");
  auto one = run_hearth({"reconcile", data, "--post=q"});
  EXPECT_EQ(one.output, "compared 1 posts: 0 differed, 0 repaired\n") << one.errors;
  auto served = run_hearth({"reconcile", data, "--all", "--json"});
  EXPECT_EQ(find_mismatch(R"({"checked": 2, "drifted": 1, "repaired": 1})", boost::json::parse(served.output)), "") << served.errors;
  EXPECT_EQ(in_sql().likes, 5);

  ASSERT_EQ(server.terminate().code, 0);
  change("UPDATE post_counts SET likes = 99 WHERE post_id = 'p'");
  EXPECT_NE(run_hearth({"reconcile", data, "--post", "p"}).output.find("1 differed, 1 repaired"), std::string::npos);
  EXPECT_EQ(in_sql().likes, 5);
  EXPECT_EQ(run_hearth({"reconcile", data, "--post", "a b"}).code, 2);
  EXPECT_EQ(run_hearth({"reconcile", data, "--post=p", "--all"}).code, 2);
  server.start();
}

TEST_F(Counters, SyncTakesTheRowsOfSql) {
  change("UPDATE post_counts SET likes = 99 WHERE post_id = 'p'");
  auto answer = ask("/api/admin/counters/p/sync", "");
  EXPECT_EQ(find_mismatch(R"({"postId": "p", "likes": 5})", answer.json()), "") << answer.body;
  EXPECT_EQ(likes(), 5);
  EXPECT_EQ(in_sql().likes, 5);
}

TEST_F(Counters, InitializeTakesAllRowsOfSql) {
  ASSERT_EQ(server.terminate().code, 0);
  change("UPDATE post_counts SET likes = 99");
  server.start();
  auto answer = ask("/api/admin/counters/initialize", "");
  EXPECT_EQ(find_mismatch(R"({"posts": 2, "ratings": 6})", answer.json()), "") << answer.body;
  EXPECT_EQ(likes(), 5);
  EXPECT_EQ(in_sql().likes, 5);
}

}  // namespace
}  // namespace hearth::tests
