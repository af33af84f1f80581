// The inbox as a ViewStore, in both modes and on both databases, and what is its own.

#include "hearth/views/view_inbox.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "hearth/base/run_to_end.h"
#include "hearth/views/ledgers/sql_under_test.h"
#include "hearth/views/view_store_conformance.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;
using outbox::must;

class InboxUnderTest final : public ViewStoreUnderTest {
 public:
  InboxUnderTest(const SqlMaker& maker, InboxMode mode) : sql_(maker.make()), mode_(mode) { open(); }

  ViewStore& store() override { return *inbox_; }
  ViewLedger& ledger() override { return sql_->ledger(); }
  SimulatedClock* clock() override { return &clock_; }
  void restart() override {
    inbox_.reset();
    sql_->restart();
    open();
  }

 private:
  void open() { inbox_ = sql_->make_inbox(mode_, kWindow, clock_); }

  SimulatedClock clock_;
  std::unique_ptr<SqlUnderTest> sql_;
  const InboxMode mode_;
  std::unique_ptr<ViewInbox> inbox_;
};

ViewStoreMaker inbox_maker(std::string name, SqlMaker sql, InboxMode mode) {
  return {std::move(name), [sql = std::move(sql), mode] { return std::make_unique<InboxUnderTest>(sql, mode); }};
}

const auto kInboxes = testing::Values(inbox_maker("sqlite_waiting", sqlite_maker(), InboxMode::kWaiting),
                                      inbox_maker("sqlite_direct", sqlite_maker(), InboxMode::kDirect),
                                      inbox_maker("postgres_waiting", postgres_maker(), InboxMode::kWaiting),
                                      inbox_maker("postgres_direct", postgres_maker(), InboxMode::kDirect));
INSTANTIATE_TEST_SUITE_P(Inbox, ViewStoreConformance, kInboxes, name_of_maker);
INSTANTIATE_TEST_SUITE_P(Inbox, ViewWindowConformance, kInboxes, name_of_maker);

class ViewInboxTest : public testing::TestWithParam<SqlMaker> {
 protected:
  static View view_of(ViewedItem item, Viewer viewer) { return {.item = std::move(item), .viewer = viewer}; }
  static ViewOutcome view(ViewInbox& inbox, View wanted) { return must(run_to_end(inbox.view(std::move(wanted)))); }
  static bool is_first(ViewInbox& inbox, ViewedItem item, Viewer viewer) { return view(inbox, view_of(std::move(item), viewer)).is_first; }
  static ViewTotal total(ViewInbox& inbox, ViewedItem item) { return must(run_to_end(inbox.totals({std::move(item)}))).front(); }
  SqlTotal in_sql(ViewedItem item) { return must(run_to_end(sql->ledger().totals({std::move(item)}))).front(); }
  std::unique_ptr<ViewInbox> make(InboxMode mode, std::size_t node = 0) { return sql->make_inbox(mode, kWindow, clock, node); }
  static std::vector<std::uint64_t> ids_of(const std::vector<WaitingView>& rows) {
    std::vector<std::uint64_t> ids;
    for (const auto& row : rows) ids.push_back(row.id);
    return ids;
  }

  SimulatedClock clock;
  std::unique_ptr<SqlUnderTest> sql = GetParam().make();
  std::unique_ptr<ViewInbox> waiting = make(InboxMode::kWaiting);
  std::unique_ptr<ViewInbox> direct = make(InboxMode::kDirect);
};

TEST_P(ViewInboxTest, WhatWaitsIsDrainedInOrderWithItsTimes) {
  auto start = clock.now();
  ASSERT_TRUE(is_first(*waiting, story("s"), 5));
  clock.advance(1us);
  ASSERT_TRUE(is_first(*waiting, chapter("c"), ~Viewer{0}));
  clock.advance(1us);
  ASSERT_TRUE(view(*waiting, {.item = story("s"), .viewer = 6, .counts = false}).is_first);
  ASSERT_FALSE(is_first(*waiting, story("s"), 5));
  EXPECT_EQ(in_sql(story("s")).views, 0u);
  EXPECT_EQ(total(*waiting, story("s")).views, 1u);
  EXPECT_EQ(total(*waiting, story("s")).buffered, 1u);

  auto rows = must(waiting->waiting(10));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].view.item, story("s"));
  EXPECT_EQ(rows[0].view.viewer, 5u);
  EXPECT_TRUE(rows[0].view.counts);
  EXPECT_EQ(rows[0].view.at, start);
  EXPECT_EQ(rows[1].view.item, chapter("c"));
  EXPECT_EQ(rows[1].view.viewer, ~Viewer{0});
  EXPECT_EQ(rows[1].view.at, start + 1us);
  EXPECT_FALSE(rows[2].view.counts);
  EXPECT_FALSE(rows[2].view.previous);
  EXPECT_EQ(ids_of(must(waiting->waiting(2))), (std::vector{rows[0].id, rows[1].id}));

  must(waiting->remove({rows[0].id, rows[2].id, 999'999}));
  must(waiting->remove({rows[0].id}));
  must(waiting->remove({}));
  EXPECT_EQ(total(*waiting, story("s")).views, 0u);
  EXPECT_EQ(total(*waiting, chapter("c")).views, 1u);
  EXPECT_EQ(ids_of(must(waiting->waiting(10))), (std::vector{rows[1].id}));
  must(waiting->remove({rows[1].id}));
  EXPECT_EQ(sql->number("SELECT count(*) FROM view_waiting"), 0);
  EXPECT_TRUE(is_first(*waiting, story("s"), 5)) << "who was removed is for the live store to know";
  EXPECT_GT(must(waiting->waiting(10)).front().id, rows[2].id);
}

TEST_P(ViewInboxTest, WhereTheLiveStoreIsOffViewsAreCountedEverywhereAtOnce) {
  sql->add_content(story("s"), 10);
  EXPECT_EQ(view(*direct, view_of(story("s"), 1)).views, 11u);
  EXPECT_EQ(view(*direct, view_of(story("s"), 2)).views, 12u);
  EXPECT_EQ(view(*direct, {.item = story("s"), .viewer = 3, .counts = false}).views, 12u);
  EXPECT_EQ(sql->read_count(story("s")), 12u);
  auto counted = in_sql(story("s"));
  EXPECT_EQ(counted.views, 12u);
  EXPECT_EQ(counted.direct, 2u);
  EXPECT_EQ(counted.synced_at, clock.now());
  EXPECT_EQ(total(*direct, story("s")).buffered, 0u);
  EXPECT_EQ(must(run_to_end(sql->ledger().hours(story("s"), hour_of(clock.now())))).at(0).views, 2u);
  EXPECT_EQ(must(run_to_end(sql->ledger().days(story("s"), hour_of(clock.now()) - 24h))).at(0).views, 2u);

  auto rows = must(direct->waiting(10));
  ASSERT_EQ(rows.size(), 3u);
  for (const auto& row : rows) EXPECT_FALSE(row.view.counts);
  must(direct->remove(ids_of(rows)));
  EXPECT_EQ(total(*direct, story("s")).views, 12u);
}

TEST_P(ViewInboxTest, WhatALiveStoreWritesAndWhatIsCountedHereAddUp) {
  must(run_to_end(sql->ledger().write({{.item = story("s"), .views = 10}}, clock.now())));
  for (Viewer viewer = 1; viewer <= 3; ++viewer) view(*direct, view_of(story("s"), viewer));
  auto written = must(run_to_end(sql->ledger().write({{.item = story("s"), .views = 12}}, clock.now())));
  EXPECT_EQ(written.at(0).views, 15u);
  EXPECT_EQ(view(*direct, view_of(story("s"), 4)).views, 16u);
}

TEST_P(ViewInboxTest, AViewerIsKnownInBothModes) {
  EXPECT_TRUE(is_first(*waiting, story("s"), 1));
  EXPECT_FALSE(is_first(*direct, story("s"), 1));
  EXPECT_EQ(view(*direct, view_of(story("s"), 2)).views, 2u);
  EXPECT_FALSE(is_first(*waiting, story("s"), 2));
  EXPECT_EQ(in_sql(story("s")).views, 1u);
  auto shown = total(*direct, story("s"));
  EXPECT_EQ(shown.views, 2u);
  EXPECT_EQ(shown.buffered, 1u);
}

TEST_P(ViewInboxTest, AViewThatComesLateCountsIfItIsAWindowOlder) {
  for (auto* inbox : {waiting.get(), direct.get()}) {
    auto item = story(inbox == direct.get() ? "d" : "w");
    ASSERT_TRUE(is_first(*inbox, item, 1));
    EXPECT_FALSE(view(*inbox, {.item = item, .viewer = 1, .at = clock.now() - kWindow + 1ms}).is_first);
    EXPECT_TRUE(view(*inbox, {.item = item, .viewer = 1, .at = clock.now() - kWindow}).is_first);
    EXPECT_EQ(total(*inbox, item).views, 2u);
  }
}

TEST_P(ViewInboxTest, RowsAreDroppedWhenTheirWindowIsOverButNotThoseThatWait) {
  is_first(*waiting, story("s"), 1);
  is_first(*direct, story("s"), 2);
  clock.advance(1ms);
  is_first(*direct, story("s"), 3);
  clock.advance(kWindow - 1ms);
  EXPECT_FALSE(must(direct->prune(clock.now())));
  EXPECT_EQ(sql->number("SELECT count(*) FROM view_inbox"), 2);
  EXPECT_FALSE(is_first(*direct, story("s"), 3));
  clock.advance(1ms);
  EXPECT_FALSE(must(direct->prune(clock.now())));
  EXPECT_EQ(sql->number("SELECT count(*) FROM view_inbox"), 1);
  EXPECT_TRUE(must(direct->waiting(10)).at(0).view.counts);
  EXPECT_EQ(total(*direct, story("s")).views, 3u);
}

TEST_P(ViewInboxTest, SomeThousandRowsAreDroppedAtATime) {
  sql->execute(
      "INSERT INTO view_inbox (kind, item_id, viewer, at, is_counted) WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n "
      "WHERE n < 6000) SELECT 'story', 's', n, " +
      std::string(GetParam().name == "sqlite" ? "0, 1" : "to_timestamp(0), true") + " FROM n");
  EXPECT_TRUE(must(direct->prune(clock.now())));
  EXPECT_EQ(sql->number("SELECT count(*) FROM view_inbox"), 1'000);
  EXPECT_FALSE(must(direct->prune(clock.now())));
  EXPECT_EQ(sql->number("SELECT count(*) FROM view_inbox"), 0);
}

TEST_P(ViewInboxTest, WhatWaitsTrendsWithWhatSqlHas) {
  auto hour = hour_of(clock.now());
  std::vector<CountedItem> popular;
  for (int i = 0; i < 1'000; ++i) {
    popular.push_back({.item = story("popular" + std::to_string(i)), .views = 5, .hours = {{hour, 5}}});
  }
  must(run_to_end(sql->ledger().write(popular, clock.now())));
  must(run_to_end(sql->ledger().write({{.item = story("rare"), .views = 3, .hours = {{hour, 3}}}}, clock.now())));
  for (Viewer viewer = 1; viewer <= 3; ++viewer) view(*waiting, view_of(story("rare"), viewer));
  view(*waiting, view_of(story("popular7"), 1));
  view(*waiting, view_of(story("popular7"), 2));
  view(*waiting, view_of(story("new"), 1));
  auto found = must(run_to_end(waiting->trending(hour - 1h, 100)));
  ASSERT_EQ(found.size(), 100u);
  EXPECT_EQ(found[0].id.view(), "popular7");
  EXPECT_EQ(found[0].views, 7u);
  EXPECT_EQ(found[1].id.view(), "rare");
  EXPECT_EQ(found[1].views, 6u);
  EXPECT_EQ(found[2].views, 5u);
}

// A node whose keys were replaced, and one that has not noticed yet.
TEST_P(ViewInboxTest, AViewerUnderTheOldAndTheNewKeyAtOnceCountsOnce) {
  for (auto mode : {InboxMode::kWaiting, InboxMode::kDirect}) {
    auto item = mode == InboxMode::kWaiting ? story("w") : chapter("d");
    constexpr Viewer kViewers = 40;
    std::atomic<std::uint64_t> firsts = 0;
    std::vector<std::jthread> nodes;
    for (std::size_t node = 0; node < 4; ++node) {
      nodes.emplace_back([&, node] {
        auto inbox = make(mode, node);
        for (Viewer viewer = 1; viewer <= kViewers; ++viewer) {
          View wanted = node < 2 ? view_of(item, viewer) : View{.item = item, .viewer = viewer + 1'000, .previous = viewer};
          if (view(*inbox, wanted).is_first) ++firsts;
        }
      });
    }
    nodes.clear();
    // Who has only the old key cannot know who counted under the new one; then it counts under both.
    auto counted = total(*waiting, item).views;
    EXPECT_EQ(counted, firsts);
    EXPECT_GE(counted, kViewers);
    auto twice = counted - kViewers;
    auto under_new = sql->number("SELECT count(*) FROM view_inbox WHERE viewer > 1000 AND item_id = '" + item.id.str() + "'");
    EXPECT_LE(twice, static_cast<std::uint64_t>(under_new));
    EXPECT_EQ(sql->number("SELECT count(*) FROM view_inbox AS old JOIN view_inbox AS later ON later.kind = old.kind "
                          "AND later.item_id = old.item_id AND later.viewer = old.viewer + 1000 AND later.id > old.id"),
              0)
        << "who counted under the old key was found under the new one";
  }
}

TEST_P(ViewInboxTest, BothKeysOfAViewerAreKept) {
  constexpr Viewer kOld = 7;
  constexpr Viewer kNew = ~Viewer{0} - 1;
  ASSERT_TRUE(view(*waiting, {.item = story("s"), .viewer = kOld, .previous = kNew}).is_first);
  ASSERT_TRUE(view(*direct, {.item = chapter("c"), .viewer = kNew, .previous = kOld}).is_first);
  auto rows = must(waiting->waiting(10));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].view.viewer, kOld);
  EXPECT_EQ(rows[0].view.previous, kNew);
  EXPECT_EQ(rows[1].view.viewer, kNew);
  EXPECT_EQ(rows[1].view.previous, kOld);
  for (auto* inbox : {waiting.get(), direct.get()}) {
    EXPECT_FALSE(view(*inbox, {.item = story("s"), .viewer = kNew, .previous = kOld}).is_first);
    EXPECT_FALSE(view(*inbox, {.item = story("s"), .viewer = kOld, .previous = kNew}).is_first);
    EXPECT_FALSE(view(*inbox, {.item = chapter("c"), .viewer = kOld, .previous = kNew}).is_first);
    EXPECT_FALSE(view(*inbox, {.item = chapter("c"), .viewer = 9, .previous = kNew}).is_first);
  }
}

TEST_P(ViewInboxTest, ViewsWhileOthersDrainAreNeitherLostNorDoubled) {
  constexpr int kViewers = 60;
  waiting.reset();
  direct.reset();
  auto deadlocks = sql->deadlocks();
  std::atomic<std::uint64_t> firsts = 0;
  std::atomic<std::uint64_t> drained = 0;
  std::atomic<bool> is_over = false;
  std::vector<std::jthread> drainers;
  for (std::size_t node = 0; node < 2; ++node) {
    drainers.emplace_back([&, node] {
      auto inbox = make(InboxMode::kWaiting, node);
      std::set<std::uint64_t> seen;
      for (bool is_last = false; !is_last;) {
        is_last = is_over;
        auto ids = ids_of(must(inbox->waiting(20)));
        if (node == 1) std::ranges::reverse(ids);
        must(inbox->remove(ids));
        seen.insert(ids.begin(), ids.end());
      }
      drained += seen.size();
    });
  }
  std::vector<std::jthread> viewers;
  for (std::size_t i = 0; i < 6; ++i) {
    viewers.emplace_back([&, i] {
      auto inbox = make(InboxMode::kWaiting, i);
      for (int viewer = 0; viewer < kViewers; ++viewer) {
        auto unique = static_cast<Viewer>(i) * 1'000 + static_cast<Viewer>(viewer);
        if (is_first(*inbox, story("s" + std::to_string((static_cast<std::size_t>(viewer) + i) % 5)), unique)) ++firsts;
      }
    });
  }
  viewers.clear();
  is_over = true;
  drainers.clear();
  EXPECT_EQ(sql->deadlocks(), deadlocks);
  waiting = make(InboxMode::kWaiting);
  EXPECT_EQ(firsts, 6u * kViewers);
  EXPECT_GE(drained, 1u);
  auto left = sql->number("SELECT count(*) FROM view_inbox");
  EXPECT_EQ(sql->number("SELECT CAST(coalesce(sum(views), 0) AS bigint) FROM view_waiting"), left);
  must(waiting->remove(ids_of(must(waiting->waiting(1'000)))));
  EXPECT_EQ(sql->number("SELECT count(*) FROM view_waiting"), 0);
}

INSTANTIATE_TEST_SUITE_P(Databases, ViewInboxTest, testing::Values(sqlite_maker(), postgres_maker()), name_of_sql);

}  // namespace
}  // namespace hearth::views
