#include "hearth/content/stores/sqlite_content_store.h"

#include <gtest/gtest.h>

#include "hearth/content/stores/sqlite_content_under_test.h"

namespace hearth::content {
namespace {

TEST(SqliteContentStore, AWrittenPostWakesTheProjection) {
  SimulatedClock clock;
  SqliteContentUnderTest content(clock);
  add_user(content.store(), "ada");
  EXPECT_EQ(content.posts_written(), 0);
  add_post(content.store(), "p");
  EXPECT_EQ(content.posts_written(), 1);
  EXPECT_FALSE(run(content.store().create_post({.id = post_id("p"), .author = user_id("ada")}, std::nullopt)));
  EXPECT_EQ(content.posts_written(), 1);
  ASSERT_TRUE(run(content.store().put_all({PostDraft{.id = post_id("q"), .author = user_id("ada")}})));
  EXPECT_EQ(content.posts_written(), 2);
}

}  // namespace
}  // namespace hearth::content
