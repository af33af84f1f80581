#include "hearth/likes/stores/memory_like_store.h"

#include <gtest/gtest.h>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/test_stack.h"

namespace hearth::likes {
namespace {

class MemoryLikeStoreTest : public testing::Test {
 protected:
  sqlite::TemporaryFolder folder;
  SimulatedClock clock;
};

TEST_F(MemoryLikeStoreTest, ATogglesComesBackAfterARestart) {
  {
    TestStack stack(folder.path(), clock);
    auto liked = stack.toggle("p", "ada");
    EXPECT_TRUE(liked.is_liked);
    EXPECT_EQ(liked.likes, 1u);
    EXPECT_EQ(stack.toggle("p", "bob").likes, 2u);
    EXPECT_FALSE(stack.toggle("p", "ada").is_liked);
  }
  TestStack stack(folder.path(), clock);
  EXPECT_EQ(stack.view("p", "bob").likes, 1u);
  EXPECT_TRUE(stack.view("p", "bob").is_liked);
  EXPECT_FALSE(stack.view("p", "ada").is_liked);
}

}  // namespace
}  // namespace hearth::likes
