#include "hearth/content/stores/sqlite_rank.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "hearth/content/stores/sqlite_content_under_test.h"

namespace hearth::content {
namespace {

TEST(SqliteRank, APostThatWasNeverProjectedMayHaveAnyCount) {
  SimulatedClock clock;
  SqliteContentUnderTest content(clock);
  add_user(content.store(), "ada");
  for (const char* id : {"a", "b", "c"}) add_post(content.store(), id);
  content.project({{"a", 2}, {"b", 1}});
  std::set<std::string> ids;
  for (const Post& post : run(content.rank(always(std::make_shared<LikesInTest>()))->collect(RankOrder::kLikes, 1)).value()) {
    ids.insert(post.id.str());
  }
  EXPECT_EQ(ids, (std::set<std::string>{"a", "c"}));
}

}  // namespace
}  // namespace hearth::content
