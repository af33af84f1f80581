#include "hearth/content/stores/sqlite_content_pages.h"

#include <gtest/gtest.h>

#include <string>

#include "hearth/content/stores/sqlite_content_under_test.h"

namespace hearth::content {
namespace {

// A page must not sort what an index has sorted already: with many posts that would be most of its cost.
TEST(SqliteContentPages, NoPageSortsOrScans) {
  SimulatedClock clock;
  SqliteContentUnderTest content(clock);
  const char* queries[] = {
      "EXPLAIN QUERY PLAN SELECT p.id FROM posts p CROSS JOIN users u ON u.key = p.author WHERE (p.created_at, p.id) < (1, 'x') ORDER BY "
      "p.created_at DESC, p.id DESC LIMIT 50",
      "EXPLAIN QUERY PLAN SELECT p.id FROM posts p CROSS JOIN users u ON u.key = p.author WHERE p.author = 1 AND (p.created_at, p.id) < "
      "(1, "
      "'x') ORDER BY p.created_at DESC, p.id DESC LIMIT 20",
      "EXPLAIN QUERY PLAN SELECT id, likes FROM posts ORDER BY likes DESC, created_at DESC, id DESC LIMIT 100",
      "EXPLAIN QUERY PLAN SELECT id FROM posts WHERE likes_version IS NULL ORDER BY created_at DESC LIMIT 100"};
  for (const char* query : queries) {
    auto plan = content.database().read_blocking([query](sqlite::Connection& connection) -> Result<std::string> {
      std::string text;
      auto& row = connection.statement(query).query();
      while (row.next()) text += row.string(3) + "\n";
      return text;
    });
    ASSERT_TRUE(plan);
    EXPECT_FALSE(plan->contains("TEMP B-TREE")) << query << "\n" << *plan;
    EXPECT_TRUE(plan->contains("USING") && plan->contains("INDEX posts_")) << query << "\n" << *plan;
  }
}

}  // namespace
}  // namespace hearth::content
