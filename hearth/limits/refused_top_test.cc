#include "hearth/limits/refused_top.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace hearth::limits {
namespace {

TEST(RefusedTopTest, CountsExactlyWhileThereIsRoom) {
  RefusedTop top(3);
  for (const char* key : {"a", "b", "b", "c", "c", "c", "b", "c"}) top.add(key);
  auto entries = top.top(10);
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].key, "c");
  EXPECT_EQ(entries[0].refused, 4U);
  EXPECT_EQ(entries[1].key, "b");
  EXPECT_EQ(entries[1].refused, 3U);
  EXPECT_EQ(entries[2].key, "a");
  EXPECT_EQ(entries[2].overcount, 0U);
  EXPECT_EQ(top.top(1).size(), 1U);
  EXPECT_TRUE(RefusedTop(3).top(10).empty());
}

TEST(RefusedTopTest, GivesTheLeastPlaceToANewKey) {
  RefusedTop top(2);
  for (const char* key : {"a", "a", "a", "b", "b", "c"}) top.add(key);
  auto entries = top.top(10);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].key, "c");
  EXPECT_EQ(entries[1].refused, 3U);
  EXPECT_EQ(entries[1].overcount, 2U);
}

// Of many keys, some of them often: each count is the true one, and at most its overcount more.
TEST(RefusedTopTest, KeepsTheMostRefusedAmongAnyNumberOfKeys) {
  RefusedTop top(100);
  std::map<std::string, std::uint64_t> truth;
  std::mt19937 random(7);
  constexpr int kRefusals = 200'000;
  for (int i = 0; i < kRefusals; ++i) {
    bool is_often = random() % 2 == 0;
    auto key = is_often ? "often" + std::to_string(random() % 20) : "rare" + std::to_string(random() % 100'000);
    ++truth[key];
    top.add(key);
  }
  auto entries = top.top(1'000);
  ASSERT_EQ(entries.size(), 100U);
  std::uint64_t before = UINT64_MAX;
  std::size_t often = 0;
  for (const auto& entry : entries) {
    EXPECT_LE(entry.refused, before);
    before = entry.refused;
    EXPECT_GE(entry.refused, truth[entry.key]);
    EXPECT_LE(entry.refused - entry.overcount, truth[entry.key]);
    if (entry.key.starts_with("often")) ++often;
  }
  EXPECT_EQ(often, 20U);
}

}  // namespace
}  // namespace hearth::limits
