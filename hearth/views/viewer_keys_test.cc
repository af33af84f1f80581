#include "hearth/views/viewer_keys.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "hearth/views/ledgers/sql_under_test.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;
using outbox::must;

constexpr std::chrono::hours kWindow{24};

class ViewerKeysTest : public testing::TestWithParam<SqlMaker> {
 protected:
  ViewerKeys make(std::size_t node = 0) { return {sql->keys(node), clock, kWindow}; }
  std::vector<ViewerKeyStore::Key> anonymous() { return must(sql->keys().anonymous_keys({{}, std::string(32, 'x')}, UtcMicros::min())); }

  SimulatedClock clock;
  std::unique_ptr<SqlUnderTest> sql = GetParam().make();
};

TEST_P(ViewerKeysTest, TheFirstProposedKeyOfUsersStays) {
  std::string bytes("\0\x01\xff key of users, 32 bytes in all", 32);
  EXPECT_EQ(must(sql->keys().user_key(bytes)).bytes, bytes);
  EXPECT_EQ(must(sql->keys(1).user_key(std::string(32, 'y'))).bytes, bytes);
}

TEST_P(ViewerKeysTest, AKeyIsAddedUnlessANewerOneIsThere) {
  auto& store = sql->keys();
  auto at = [&](int hour) { return clock.now() + std::chrono::hours(hour); };
  auto keys = must(store.anonymous_keys({at(0), "a"}, at(5)));
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].bytes, "a");
  EXPECT_EQ(keys[0].from, at(0));
  EXPECT_EQ(must(store.anonymous_keys({at(1), "b"}, at(-1))).size(), 1u);
  keys = must(store.anonymous_keys({at(1), "b"}, at(0)));
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].bytes, "b");
  EXPECT_EQ(keys[1].bytes, "a");
  for (int i = 2; i < 9; ++i) keys = must(store.anonymous_keys({at(i), std::to_string(i)}, at(i - 1)));
  ASSERT_EQ(keys.size(), 4u);
  EXPECT_EQ(keys[0].bytes, "8");
  EXPECT_EQ(keys[3].bytes, "5");
  EXPECT_EQ(sql->number("SELECT count(*) FROM viewer_keys"), 4);
}

TEST_P(ViewerKeysTest, OfManyWhoProposeAtOnceOneWins) {
  std::vector<std::vector<ViewerKeyStore::Key>> seen(16);
  std::vector<std::string> users(16);
  std::vector<std::jthread> nodes;
  for (std::size_t i = 0; i < 16; ++i) {
    nodes.emplace_back([&, i] {
      users[i] = must(sql->keys(i).user_key(std::to_string(i))).bytes;
      seen[i] = must(sql->keys(i).anonymous_keys({clock.now() + std::chrono::microseconds(i), std::to_string(i)}, clock.now() - 1h));
    });
  }
  nodes.clear();
  for (std::size_t i = 1; i < 16; ++i) {
    EXPECT_EQ(users[i], users[0]);
    ASSERT_EQ(seen[i].size(), 1u);
    EXPECT_EQ(seen[i][0].bytes, seen[0][0].bytes);
  }
}

TEST_P(ViewerKeysTest, NodesAndRestartsHashAlikeAndNobodyElseDoes) {
  auto first = make(0);
  auto second = make(1);
  ASSERT_TRUE(first.refresh());
  ASSERT_TRUE(second.refresh());
  EXPECT_EQ(first.user("ada"), second.user("ada"));
  EXPECT_EQ(first.anonymous("192.0.2.1", "Firefox").viewer, second.anonymous("192.0.2.1", "Firefox").viewer);
  std::set<Viewer> different{first.user("ada"),
                             first.user("bob"),
                             first.user("192.0.2.1\nFirefox"),
                             first.anonymous("192.0.2.1", "Firefox").viewer,
                             first.anonymous("192.0.2.2", "Firefox").viewer,
                             first.anonymous("192.0.2.1", "Chrome").viewer,
                             first.anonymous("192.0.2.1", "").viewer,
                             first.anonymous("", "192.0.2.1").viewer};
  EXPECT_EQ(different.size(), 8u);
  auto elsewhere = GetParam().make();
  ViewerKeys other(elsewhere->keys(), clock, kWindow);
  ASSERT_TRUE(other.refresh());
  EXPECT_NE(other.user("ada"), first.user("ada"));
}

TEST_P(ViewerKeysTest, AViewerIsKnownForAWindowWheneverKeysChange) {
  auto keys = make();
  auto other_node = make(1);
  std::vector<std::pair<UtcMicros, Viewer>> counted;
  std::set<Viewer> used;
  for (int step = 0; step < 24 * 7 * 2; ++step) {
    ASSERT_TRUE(keys.refresh());
    if (step % 7 == 0) ASSERT_TRUE(other_node.refresh());  // 3.5 hours late at worst
    auto now = keys.anonymous("192.0.2.1", "Firefox");
    EXPECT_EQ(now.viewer, other_node.anonymous("192.0.2.1", "Firefox").viewer) << step;
    used.insert(now.viewer);
    for (const auto& [at, viewer] : counted) {
      if (clock.now() - at < kWindow) EXPECT_TRUE(viewer == now.viewer || viewer == now.previous) << step;
    }
    counted.emplace_back(clock.now(), now.viewer);
    clock.advance(30min);
  }
  EXPECT_EQ(used.size(), 7u) << "a key a day";
  EXPECT_LE(anonymous().size(), 4u);
}

// Whoever was counted under whatever key at either node within a window is found by both.
TEST_P(ViewerKeysTest, AViewerIsKnownOnNodesWhoseClocksDiffer) {
  SimulatedClock behind(clock.now() - kKeyChange);
  auto keys = make();
  ASSERT_TRUE(keys.refresh());
  ViewerKeys late(sql->keys(1), behind, kWindow);
  std::map<Viewer, UtcMicros> counted;  // when last
  for (int minute = 0; minute < 4 * 24 * 60; ++minute) {
    if (minute % 60 == 0) {
      ASSERT_TRUE(keys.refresh());
      ASSERT_TRUE(late.refresh());
    }
    auto looks = {keys.anonymous("192.0.2.1", "Firefox"), late.anonymous("192.0.2.1", "Firefox")};
    for (const auto& look : looks) counted[look.viewer] = clock.now();
    for (const auto& look : looks) {
      for (const auto& [viewer, at] : counted) {
        if (clock.now() - at < kWindow) ASSERT_TRUE(viewer == look.viewer || viewer == look.previous) << minute;
      }
    }
    clock.advance(1min);
    behind.advance(1min);
  }
  EXPECT_EQ(counted.size(), 4u);
}

TEST_P(ViewerKeysTest, AfterALongStopTheNextKeyIsKnownBeforeItIsUsed) {
  auto keys = make();
  ASSERT_TRUE(keys.refresh());
  auto before = keys.anonymous("a", "b").viewer;
  clock.advance(24h * 30);
  EXPECT_EQ(keys.anonymous("a", "b").viewer, before) << "SQL was away: the key stays in use";
  ASSERT_TRUE(keys.refresh());
  EXPECT_EQ(keys.anonymous("a", "b").viewer, before);
  EXPECT_GT(anonymous().front().from, clock.now());
  clock.advance(10min);
  auto after = keys.anonymous("a", "b");
  EXPECT_NE(after.viewer, before);
  EXPECT_EQ(after.previous, before);
}

TEST_P(ViewerKeysTest, AClockThatWasSetBackUsesTheOldestKey) {
  auto keys = make();
  ASSERT_TRUE(keys.refresh());
  auto before = keys.anonymous("a", "b").viewer;
  clock.advance(-48h);
  ASSERT_TRUE(keys.refresh());
  EXPECT_EQ(keys.anonymous("a", "b").viewer, before);
  EXPECT_FALSE(keys.anonymous("a", "b").previous);
}

INSTANTIATE_TEST_SUITE_P(Databases, ViewerKeysTest, testing::Values(sqlite_maker(), postgres_maker()), name_of_sql);

}  // namespace
}  // namespace hearth::views
