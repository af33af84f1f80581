#include "hearth/content/stores/sqlite_rank.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "hearth/content/stores/sqlite_content_under_test.h"

namespace hearth::content {
namespace {

class SqliteRankTest : public testing::Test {
 protected:
  SqliteRankTest() {
    add_user(content.store(), "ada");
    for (const char* id : {"a", "b", "c"}) add_post(content.store(), id);
  }
  void write(const char* sql) {
    ASSERT_TRUE(content.database().write_blocking([&](sqlite::Connection& connection) -> Result<void> {
      connection.statement(sql).run();
      return {};
    }));
  }
  std::set<std::string> first() {
    std::set<std::string> ids;
    for (const Post& post : run(content.rank(always(live))->collect(RankOrder::kLikes, 1)).value()) ids.insert(post.id.str());
    return ids;
  }

  SimulatedClock clock;
  SqliteContentUnderTest content{clock};
  std::shared_ptr<LikesInTest> live = std::make_shared<LikesInTest>();
};

TEST_F(SqliteRankTest, TheWalkIsRepeatedWhenTheProjectionMovedMeanwhile) {
  content.project({{"a", 2}, {"b", 1}, {"c", 0}});
  live->likes = {{"a", 2}, {"b", 1}, {"c", 9}};
  live->dirty = {"c"};
  // The projection applies c's likes, and c stops being dirty, just after the first walk took its snapshot.
  live->when_first_looked_at = [&] {
    write("UPDATE posts SET likes = 9, likes_version = 2 WHERE id = 'c'");
    write("INSERT INTO outbox_cursors VALUES ('content', 1, 1, 1)");
    live->dirty.clear();
  };
  EXPECT_TRUE(first().contains("c"));
}

TEST_F(SqliteRankTest, APostThatWasNeverProjectedMayHaveAnyCount) {
  content.project({{"a", 2}, {"b", 1}});
  EXPECT_EQ(first(), (std::set<std::string>{"a", "c"}));
}

}  // namespace
}  // namespace hearth::content
