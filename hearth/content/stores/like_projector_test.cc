#include "hearth/content/stores/like_projector.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hearth/content/stores/sqlite_content_under_test.h"

namespace hearth::content {
namespace {

using Count = std::pair<std::uint32_t, std::uint64_t>;  // likes, version

// The ledger is a map.
class LikeProjectorTest : public testing::Test {
 protected:
  LikeProjectorTest() { add_user(content.store(), "ada"); }

  LikeProjector projector() {
    return {content.database(), [this](std::vector<std::string> posts) -> Result<std::vector<PostCount>> {
              EXPECT_LE(posts.size(), kLedgerPostsPerQuestion);
              if (is_ledger_away) return fail(ErrorCode::kUnavailable, "away");
              std::vector<PostCount> counts;
              for (const auto& post : posts) counts.push_back({post, ledger[post].first, ledger[post].second});
              return counts;
            }};
  }
  std::optional<Count> projected(const char* post) {
    return content.database()
        .read_blocking([&](sqlite::Connection& connection) -> Result<std::optional<Count>> {
          auto& row = connection.statement("SELECT likes, likes_version FROM posts WHERE id = ?1").query(post);
          if (!row.next() || row.is_null(1)) return std::nullopt;
          return Count(row.integer(0), row.integer(1));
        })
        .value();
  }

  SimulatedClock clock;
  SqliteContentUnderTest content{clock};
  std::map<std::string, Count> ledger;
  bool is_ledger_away = false;
};

TEST_F(LikeProjectorTest, WritesWhatTheLedgerSaysOfThePostsItIsToldOf) {
  for (const char* id : {"p", "q"}) add_post(content.store(), id);
  ASSERT_TRUE(projector().project({}));
  ledger = {{"p", {1, 10}}, {"q", {2, 20}}, {"elsewhere", {3, 30}}};
  ASSERT_TRUE(projector().project({"p", "elsewhere"}));
  EXPECT_EQ(projected("p"), Count(1, 10));
  EXPECT_EQ(projected("q"), Count(0, 0));
}

TEST_F(LikeProjectorTest, ANewPostIsTakenAlongWhateverItIsToldOf) {
  ledger = {{"p", {1, 10}}};
  add_post(content.store(), "p");
  EXPECT_EQ(projected("p"), std::nullopt);
  ASSERT_TRUE(projector().project({"elsewhere"}));
  EXPECT_EQ(projected("p"), Count(1, 10));
}

TEST_F(LikeProjectorTest, AnOlderAnswerNeverReplacesANewerOne) {
  add_post(content.store(), "p");
  ledger = {{"p", {5, 50}}};
  ASSERT_TRUE(projector().project({"p"}));
  ledger = {{"p", {4, 40}}};
  ASSERT_TRUE(projector().project({"p"}));
  EXPECT_EQ(projected("p"), Count(5, 50));
}

TEST_F(LikeProjectorTest, AllPostsAreAskedForAgainAndALedgerThatWentBackIsBelieved) {
  for (const char* id : {"p", "q"}) add_post(content.store(), id);
  ledger = {{"p", {5, 50}}, {"q", {1, 10}}};
  ASSERT_TRUE(projector().project_all());
  ledger = {{"p", {4, 40}}, {"q", {2, 20}}};  // written, and nobody was told
  ASSERT_TRUE(projector().project_all());
  EXPECT_EQ(projected("p"), Count(4, 40));
  EXPECT_EQ(projected("q"), Count(2, 20));
}

TEST_F(LikeProjectorTest, WhileTheLedgerIsAwayItFailsAndCanBeRepeated) {
  add_post(content.store(), "p");
  ledger = {{"p", {5, 50}}};
  is_ledger_away = true;
  EXPECT_EQ(projector().project({"p"}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(projector().project_all().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(projected("p"), std::nullopt);
  is_ledger_away = false;
  ASSERT_TRUE(projector().project({}));
  EXPECT_EQ(projected("p"), Count(5, 50));
}

TEST_F(LikeProjectorTest, MorePostsThanOneStepTakesAreAllProjected) {
  ASSERT_TRUE(content.database().write_blocking([](sqlite::Connection& connection) -> Result<void> {
    connection
        .statement(
            "INSERT INTO posts (id, author, created_at) "
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT 'p' || i, 1, 0 FROM n")
        .run(kProjectedPostsPerStep + 1);
    return {};
  }));
  ASSERT_TRUE(projector().project_all());
  EXPECT_EQ(content.count("SELECT count(*) FROM posts WHERE likes_version IS NOT NULL"),
            static_cast<std::int64_t>(kProjectedPostsPerStep + 1));
}

}  // namespace
}  // namespace hearth::content
