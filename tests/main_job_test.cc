// The main job on the demo data: one like, and every page shows the same count at once, on all stores.

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/http_client.h"
#include "tests/support/json_check.h"
#include "tests/support/server_process.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

constexpr char kLike[] = "/api/posts/oso-polar/like";

struct MainJobCase {
  std::string name;
  StoresKind stores = {};
  std::vector<std::string> flags = {};
};

void PrintTo(const MainJobCase& one, std::ostream* out) {
  *out << one.name;
}

class MainJob : public testing::TestWithParam<MainJobCase> {
 protected:
  void TearDown() override { EXPECT_EQ(server.terminate().code, 0) << server.errors(); }

  std::int64_t likes_on(const std::string& page) {
    for (const auto& post : client().get(page).json().at("posts").as_array()) {
      if (post.at("id").as_string() == "oso-polar") return post.at("likes").as_int64();
    }
    ADD_FAILURE() << page << " does not show the post";
    return -1;
  }

  // Every page that shows the post, each asked anew.
  void expect_everywhere(std::int64_t likes, bool is_liked_by_ada) {
    for (const char* page : {"/api/rank", "/api/users/lucia_nature/posts", "/api/timeline/public"})
      EXPECT_EQ(likes_on(page), likes) << page;
    auto post = client().get("/api/posts/oso-polar?sessionId=ada").json();
    EXPECT_EQ(post.at("likes").as_int64(), likes);
    EXPECT_EQ(post.at("isLiked").as_bool(), is_liked_by_ada);
    EXPECT_EQ(client().get("/api/posts/oso-polar/likes").json().at("likes").as_int64(), likes);
    EXPECT_EQ(client().post("/api/likes/counts", R"({"postIds":["oso-polar"]})").json().at_pointer("/counts/oso-polar").as_int64(), likes);
    auto merged = client().post("/api/posts/merge", R"({"posts":[{"id":"oso-polar","likes":0,"mine":true}],"sessionId":"ada"})").json();
    EXPECT_EQ(merged.at_pointer("/posts/0/likes").as_int64(), likes);
    EXPECT_EQ(merged.at_pointer("/posts/0/isLiked").as_bool(), is_liked_by_ada);
  }

  void toggle(bool will_be_liked, std::int64_t will_have) {
    auto answer = client().post(kLike, R"({"sessionId":"ada"})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.json().at("success").as_bool(), true);
    EXPECT_EQ(answer.json().at("isLiked").as_bool(), will_be_liked);
    EXPECT_EQ(answer.json().at("newCount").as_int64(), will_have);
  }

  void expect_in_sql(std::int64_t likes) {
    ASSERT_EQ(client().post("/api/admin/flush", "").status, 200);
    auto data = folder.path() / "data";
    auto row = stores.ledger(data)["oso-polar"];
    EXPECT_EQ(row.likes, likes);
    EXPECT_EQ(row.sessions.size(), static_cast<std::size_t>(likes));
    EXPECT_EQ(stores.projection(data)["oso-polar"], likes);
  }

  HttpClient client() { return HttpClient(server.port()); }

  std::vector<std::string> flags() const {
    std::vector<std::string> all = {"--demo"};
    all.insert(all.end(), GetParam().flags.begin(), GetParam().flags.end());
    all.insert(all.end(), stores.flags().begin(), stores.flags().end());
    return all;
  }

  sqlite::TemporaryFolder folder;
  TestStores stores{GetParam().stores};
  ServerProcess server{{.data = folder.path() / "data", .flags = flags()}};
};

TEST_P(MainJob, ALikeShowsOnEveryPageAtOnceAndSoDoesItsEnd) {
  expect_everywhere(446, false);
  toggle(true, 447);
  expect_everywhere(447, true);
  expect_in_sql(447);
  expect_everywhere(447, true);
  toggle(false, 446);
  expect_everywhere(446, false);
  expect_in_sql(446);
}

TEST_P(MainJob, TheSameHoldsAfterARestart) {
  toggle(true, 447);
  ASSERT_EQ(server.terminate().code, 0) << server.errors();
  server.start();
  expect_everywhere(447, true);
  toggle(false, 446);
  server.kill();
  server.start();
  expect_everywhere(446, false);
  toggle(true, 447);
  expect_everywhere(447, true);
  expect_in_sql(447);
}

TEST_P(MainJob, ThePostLeadsTheRankAndIsWhatItIsSaidToBe) {
  auto post = client().get("/api/rank?limit=1").json().at_pointer("/posts/0");
  EXPECT_EQ(find_mismatch(R"({"id": "oso-polar", "authorId": "lucia_nature", "authorUsername": "lucia_nature",
                              "content": "Oso polar en su habitat natural", "imageUrl": null, "mediaUrls": [],
                              "createdAt": "<time>", "likes": 446, "isLiked": "<absent>", "commentsCount": 0})",
                          post),
            "");
}

INSTANTIATE_TEST_SUITE_P(, MainJob,
                         testing::Values(MainJobCase{.name = "commit", .flags = {"--durability=commit"}},
                                         MainJobCase{.name = "relaxed", .flags = {"--durability=relaxed"}},
                                         MainJobCase{.name = "memory_postgres", .stores = {LiveKind::kMemory, SqlKind::kPostgres}},
                                         MainJobCase{.name = "redis_sqlite", .stores = {LiveKind::kRedis, SqlKind::kSqlite}},
                                         MainJobCase{.name = "redis_postgres", .stores = {LiveKind::kRedis, SqlKind::kPostgres}},
                                         MainJobCase{.name = "cluster_postgres", .stores = {LiveKind::kCluster, SqlKind::kPostgres}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace hearth::tests
