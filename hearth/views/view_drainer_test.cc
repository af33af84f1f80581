#include "hearth/views/view_drainer.h"

#include <gtest/gtest.h>

#include <memory>

#include "hearth/views/ledgers/sql_under_test.h"
#include "hearth/views/stores/redis/redis_test_stack.h"
#include "hearth/views/view_store_conformance.h"
#include "hearth/views/view_sync.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;
using outbox::must;
using outbox::run;

class ViewDrainerTest : public testing::TestWithParam<SqlMaker> {
 protected:
  static ViewOutcome view(ViewStore& store, ViewedItem item, Viewer viewer) {
    return must(run(store.view({.item = std::move(item), .viewer = viewer})));
  }
  std::uint64_t live(ViewedItem item) { return must(run(node.store.totals({std::move(item)}))).front().views; }
  std::uint64_t in_sql(ViewedItem item) { return must(run(sql->ledger().totals({std::move(item)}))).front().views; }
  void drain() {
    ViewDrainer drainer(*inbox, node.store);
    while (must(drainer.run_once())) {
    }
  }
  void sync() {
    clock.advance(1ms);
    must(run(ViewSync(node.store, sql->ledger(), clock).run()));
  }

  redis::RedisServer& server = redis::shared_server();
  SimulatedClock clock;
  std::unique_ptr<SqlUnderTest> sql = GetParam().make();
  std::unique_ptr<ViewInbox> inbox = sql->make_inbox(InboxMode::kWaiting, 24h, clock);
  std::unique_ptr<ViewInbox> direct = sql->make_inbox(InboxMode::kDirect, 24h, clock);
  RedisNode node{redis::emptied(server), redis::KeyLayout::kPlain, sql->ledger(), clock, RedisViewStore::Time::kOfClock};
};

INSTANTIATE_TEST_SUITE_P(Sql, ViewDrainerTest, testing::Values(sqlite_maker(), postgres_maker()), name_of_sql);

TEST_P(ViewDrainerTest, WhatCameWhileRedisWasAwayCountsOnceAndInItsHour) {
  view(node.store, story("s"), 1);
  clock.advance(2h);
  EXPECT_TRUE(view(*inbox, story("s"), 1).is_first);  // which Redis knows better
  EXPECT_TRUE(view(*inbox, story("s"), 2).is_first);
  EXPECT_FALSE(view(*inbox, story("s"), 2).is_first);
  view(*inbox, chapter("c"), 1);
  auto hour = hour_of(clock.now());
  clock.advance(3h);
  EXPECT_TRUE(view(node.store, story("s"), 3).is_first);
  drain();
  EXPECT_TRUE(must(inbox->waiting(10)).empty());
  EXPECT_EQ(live(story("s")), 3u);
  EXPECT_EQ(live(chapter("c")), 1u);
  EXPECT_FALSE(view(node.store, story("s"), 2).is_first);
  auto hours = must(run(node.store.hours(story("s"), hour)));
  ASSERT_EQ(hours.size(), 2u);
  EXPECT_EQ(hours[0].hour, hour);
  EXPECT_EQ(hours[0].views, 1u);
  sync();
  EXPECT_EQ(in_sql(story("s")), 3u);
  EXPECT_EQ(in_sql(chapter("c")), 1u);
  EXPECT_EQ(must(run(sql->ledger().hours(story("s"), hour))).size(), 2u);
}

// As a node that was stopped before it could remove the rows: they come again, after more than two windows even.
TEST_P(ViewDrainerTest, WhatIsDrainedTwiceCountsOnce) {
  view(*inbox, story("s"), 1);
  view(*inbox, story("s"), 2);
  clock.advance(24h * 7);
  auto rows = must(inbox->waiting(10));
  std::vector<View> views;
  for (const auto& row : rows) views.push_back(row.view);
  ASSERT_EQ(views.size(), 2u);
  must(run(node.store.view(views[0])));
  drain();
  must(run(node.store.view(views[1])));
  EXPECT_EQ(live(story("s")), 2u);
}

// Keys of anonymous viewers change while Redis is away.
TEST_P(ViewDrainerTest, WhoWasCountedUnderTheKeyBeforeIsNotCountedAgain) {
  view(node.store, story("s"), 1);
  EXPECT_TRUE(must(run(inbox->view({.item = story("s"), .viewer = 2, .previous = 1}))).is_first);
  EXPECT_FALSE(must(run(inbox->view({.item = story("s"), .viewer = 1, .previous = 2}))).is_first);
  EXPECT_TRUE(must(run(inbox->view({.item = story("s"), .viewer = 4, .previous = 3}))).is_first);
  drain();
  EXPECT_EQ(live(story("s")), 2u);
}

TEST_P(ViewDrainerTest, NothingIsRemovedThatRedisHasNot) {
  view(*inbox, story("s"), 1);
  server.run({"CONFIG", "SET", "maxmemory", "1"});
  auto refused = ViewDrainer(*inbox, node.store).run_once();
  server.run({"CONFIG", "SET", "maxmemory", "0"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(must(inbox->waiting(10)).size(), 1u);
  drain();
  EXPECT_EQ(live(story("s")), 1u);
}

TEST_P(ViewDrainerTest, WhatSqlCountedItselfIsRememberedAndNotCountedAgain) {
  view(node.store, story("clean"), 1);
  sync();
  view(node.store, story("dirty"), 1);
  clock.advance(1h);
  for (Viewer viewer = 11; viewer <= 15; ++viewer) {
    view(*direct, story("clean"), viewer);
    view(*direct, story("dirty"), viewer);
    view(*direct, story("new"), viewer);
  }
  EXPECT_EQ(in_sql(story("clean")), 6u);
  drain();
  drain();
  EXPECT_EQ(live(story("clean")), 6u);
  EXPECT_EQ(live(story("dirty")), 6u);
  EXPECT_EQ(live(story("new")), 5u);
  EXPECT_FALSE(view(node.store, story("clean"), 11).is_first);
  EXPECT_TRUE(view(node.store, story("clean"), 2).is_first);
  EXPECT_TRUE(view(node.store, story("new"), 2).is_first);
  sync();
  EXPECT_EQ(in_sql(story("clean")), 7u);
  EXPECT_EQ(in_sql(story("dirty")), 6u);
  EXPECT_EQ(in_sql(story("new")), 6u);
}

TEST_P(ViewDrainerTest, ThousandsAreMovedInSteps) {
  for (Viewer viewer = 1; viewer <= 700; ++viewer) view(*inbox, story("s" + std::to_string(viewer % 3)), viewer);
  ViewDrainer drainer(*inbox, node.store);
  EXPECT_TRUE(must(drainer.run_once()));
  EXPECT_EQ(must(inbox->waiting(10'000)).size(), 200u);
  drain();
  EXPECT_EQ(live(story("s0")) + live(story("s1")) + live(story("s2")), 700u);
}

}  // namespace
}  // namespace hearth::views
