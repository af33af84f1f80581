#include "hearth/views/stores/memory_view_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "hearth/views/test_world.h"
#include "hearth/views/view_store_conformance.h"
#include "hearth/views/view_sync.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;
using outbox::must;
using outbox::run;

class MemoryStoreUnderTest final : public ViewStoreUnderTest {
 public:
  explicit MemoryStoreUnderTest(TestStackOptions options = {}) : world(std::move(options)) {}
  ViewStore& store() override { return *world.stack->store; }
  ViewLedger& ledger() override { return world.ledger; }
  BufferedViews* buffered() override { return world.stack->store.get(); }
  SimulatedClock* clock() override { return &world.clock; }
  void restart() override { world.restart(); }

 private:
  World world;
};

// Where every item leaves memory as soon as it may.
class ForgetfulStore final : public ViewStore {
 public:
  explicit ForgetfulStore(World& world) : world_(world) {}
  Task<Result<ViewOutcome>> view(View view) override {
    if (calls_under_way_++ == 0) forget();
    auto outcome = co_await world_.stack->store->view(std::move(view));
    --calls_under_way_;
    co_return outcome;
  }
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) override {
    if (calls_under_way_ == 0) forget();
    co_return co_await world_.stack->store->totals(std::move(items));
  }
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override {
    co_return co_await world_.stack->store->hours(std::move(item), since);
  }
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) override {
    co_return co_await world_.stack->store->trending(since, limit);
  }

 private:
  void forget() {
    must(world_.stack->try_flush());
    world_.stack->store->evict();
  }
  World& world_;
  std::atomic<int> calls_under_way_{0};
};

class ForgetfulStoreUnderTest final : public ViewStoreUnderTest {
 public:
  ViewStore& store() override { return forgetful_; }
  ViewLedger& ledger() override { return world_.ledger; }
  BufferedViews* buffered() override { return world_.stack->store.get(); }
  SimulatedClock* clock() override { return &world_.clock; }
  void restart() override { world_.restart(); }

 private:
  World world_{{.store = {.items_bytes_max = 0}}};
  ForgetfulStore forgetful_{world_};
};

const auto kMakers = testing::Values(ViewStoreMaker{"Memory", [] { return std::make_unique<MemoryStoreUnderTest>(); }},
                                     ViewStoreMaker{"MemoryThatForgets", [] { return std::make_unique<ForgetfulStoreUnderTest>(); }});

INSTANTIATE_TEST_SUITE_P(Memory, ViewStoreConformance, kMakers, name_of_maker);
INSTANTIATE_TEST_SUITE_P(Memory, ViewWindowConformance, kMakers, name_of_maker);
INSTANTIATE_TEST_SUITE_P(Memory, BufferedViewsConformance, kMakers, name_of_maker);

// The same SQL under a new data folder.
struct TemporaryStack {
  explicit TemporaryStack(World& world) : stack(folder.path(), world.clock, world.ledger, {}) {}
  sqlite::TemporaryFolder folder;
  TestStack stack;
};

class MemoryViewStoreTest : public testing::Test {
 protected:
  MemoryViewStore& store() { return *world->stack->store; }
  void make(TestStackOptions options) { world = std::make_unique<World>(std::move(options)); }
  Result<ViewOutcome> try_view(const std::string& id, Viewer viewer) { return run(store().view({.item = story(id), .viewer = viewer})); }
  bool is_first(const std::string& id, Viewer viewer) { return must(try_view(id, viewer)).is_first; }
  std::uint64_t views(const std::string& id) { return must(run(store().totals({story(id)}))).front().views; }

  std::unique_ptr<World> world = std::make_unique<World>();
};

TEST_F(MemoryViewStoreTest, AViewWhoseBatchIsLostCountsWhenItIsAskedForAgain) {
  is_first("s", 1);
  for (int i = 0; i < 3; ++i) {
    world->disk.inject({.kind = sqlite::FaultKind::kSyncError, .files = "journal.db"});
    auto lost = try_view("s", 2);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::kUnavailable);
    world->recover();
    EXPECT_EQ(views("s"), 1u);
  }
  EXPECT_TRUE(is_first("s", 2));
  EXPECT_FALSE(is_first("s", 1));
  EXPECT_EQ(views("s"), 2u);
}

TEST_F(MemoryViewStoreTest, AFullTableOfViewersRefusesNewOnesAndForgetsNone) {
  make({.store = {.seen_bytes_max = 200'000}});
  std::vector<Viewer> taken;
  std::optional<Error> refusal;
  for (Viewer viewer = 0; viewer < 20'000; ++viewer) {
    auto outcome = try_view("s", viewer);
    outcome ? taken.push_back(viewer) : static_cast<void>(refusal = outcome.error());
  }
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code, ErrorCode::kUnavailable);
  EXPECT_NE(refusal->message.find("viewers apart is full"), std::string::npos) << refusal->message;
  EXPECT_EQ(views("s"), taken.size());
  for (Viewer viewer : taken) ASSERT_FALSE(is_first("s", viewer));
  EXPECT_LE(store().memory_stats().seen_bytes, 200'000u);
  EXPECT_GT(store().memory_stats().seen_refusals, 0u);
  world->clock.advance(2 * kWindow);
  store().evict();
  EXPECT_EQ(store().memory_stats().seen, 0u);
  EXPECT_TRUE(is_first("s", 50'000));
}

TEST_F(MemoryViewStoreTest, ItemsLeaveMemoryWhenViewsDbHasThem) {
  make({.store = {.items_bytes_max = 20'000}});
  for (int item = 0; item < 500; ++item) EXPECT_TRUE(is_first("item" + std::to_string(item), 1));
  EXPECT_EQ(store().evict(), 0u) << "views.db lacks them";
  EXPECT_EQ(store().memory_stats().items, 500u);
  world->stack->flush();
  EXPECT_GT(store().evict(), 0u);
  EXPECT_LE(store().memory_stats().item_bytes, 20'000u);
  for (int item = 0; item < 500; ++item) {
    EXPECT_EQ(views("item" + std::to_string(item)), 1u);
    EXPECT_FALSE(is_first("item" + std::to_string(item), 1));
    EXPECT_TRUE(is_first("item" + std::to_string(item), 2));
  }
}

TEST_F(MemoryViewStoreTest, AnItemIsLoadedOnceForAllWhoViewItFirst) {
  must(run(world->ledger.write({{.item = story("s"), .views = 7}}, world->clock.now())));
  std::vector<std::uint64_t> totals(64);
  for (int i = 0; i < 64; ++i) {
    world->loops.spawn(i, [](MemoryViewStore& live, Viewer viewer, std::uint64_t& total) -> Task<void> {
      auto outcome = co_await live.view({.item = story("s"), .viewer = viewer});
      EXPECT_TRUE(outcome);
      if (outcome) total = outcome->views;
    }(store(), Viewer(i), totals[i]));
  }
  world->loops.run();
  std::ranges::sort(totals);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(totals[i], static_cast<std::uint64_t>(8 + i));
  EXPECT_EQ(world->ledger.reads, 1);
}

// While a reader asks SQL for it the item is viewed, written to views.db, and leaves memory again.
TEST_F(MemoryViewStoreTest, ALoadThatWasOvertakenBringsNothingOldBack) {
  make({.store = {.items_bytes_max = 0}});
  world->ledger.on_read = [&] {
    world->ledger.on_read = nullptr;
    std::thread([&] {
      EXPECT_TRUE(is_first("s", 1));
      world->stack->flush();
      store().evict();
      EXPECT_EQ(store().evict() + store().memory_stats().items, 0u);
    }).join();
  };
  EXPECT_EQ(views("s"), 1u);
}

TEST_F(MemoryViewStoreTest, ATotalThatSqlHasIsNotTakenForNoneWhileSqlIsAway) {
  must(run(world->ledger.write({{.item = story("s"), .views = 7}}, world->clock.now())));
  world->ledger.is_away = true;
  EXPECT_EQ(try_view("s", 1).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(run(store().totals({story("s")})));
  world->ledger.is_away = false;
  EXPECT_EQ(must(try_view("s", 1)).views, 8u);
}

TEST_F(MemoryViewStoreTest, ATotalGoesOnFromThatOfSqlIfViewsWereKeptElsewhereForATime) {
  ViewSync sync(store(), world->ledger, world->clock);
  for (Viewer viewer = 0; viewer < 3; ++viewer) is_first("s", viewer);
  world->clock.advance(1s);
  must(run(sync.run()));
  world->ledger.add(story("s"), 90, false);
  world->ledger.add(story("s"), 5, true);
  world->restart();
  EXPECT_EQ(views("s"), 98u);
  EXPECT_EQ(must(try_view("s", 50)).views, 99u);
  world->clock.advance(1s);
  ViewSync next(store(), world->ledger, world->clock);
  EXPECT_EQ(must(run(next.run())).story_views, 1u);
  EXPECT_EQ(must(run(world->ledger.totals({story("s")}))).front().views, 99u);
}

TEST_F(MemoryViewStoreTest, ATotalStaysWhenSqlWasTakenBackToAnOlderState) {
  world->ledger.add(story("s"), 5, true);
  for (Viewer viewer = 0; viewer < 3; ++viewer) is_first("s", viewer);
  EXPECT_EQ(views("s"), 8u);
  world->ledger.forget(story("s"));
  ViewSync sync(store(), world->ledger, world->clock);
  for (int i = 0; i < 2; ++i) {
    world->clock.advance(1s);
    must(run(sync.run()));
    EXPECT_EQ(views("s"), 8u);
  }
  EXPECT_EQ(must(run(world->ledger.totals({story("s")}))).front().views, 8u);
  EXPECT_EQ(must(run(store().totals({story("s")}))).front().buffered, 0u);
}

TEST_F(MemoryViewStoreTest, LikesInTheSameJournalArePassedOver) {
  std::string like;
  outbox::encode({.post = "p", .session = "ada", .version = 2, .previous = 1, .likes = 1, .is_liked = true}, like);
  for (Viewer viewer = 0; viewer < 10; ++viewer) {
    must(world->stack->journal->append(like));
    EXPECT_TRUE(is_first("s", viewer));
  }
  world->restart();
  EXPECT_EQ(views("s"), 10u);
  EXPECT_FALSE(is_first("s", 3));
}

TEST_F(MemoryViewStoreTest, WhoMattersNoMoreLeavesViewsDb) {
  auto seen_on_disk = [&] { return must(world->stack->file->count_seen(UtcMillis(), UtcMillis(100'000h * 24))); };
  for (Viewer viewer = 0; viewer < 100; ++viewer) is_first("s", viewer);
  world->stack->flush();
  EXPECT_EQ(seen_on_disk(), 100u);
  world->clock.advance(kWindow);
  is_first("s", 1'000);
  world->stack->flush();
  EXPECT_EQ(seen_on_disk(), 101u);
  world->clock.advance(kWindow);
  is_first("s", 1'001);
  world->stack->flush();
  EXPECT_EQ(seen_on_disk(), 2u);
}

TEST_F(MemoryViewStoreTest, AnotherWindowAfterARestartFindsWhoWasSeen) {
  for (Viewer viewer = 0; viewer < 100; ++viewer) EXPECT_TRUE(is_first("s", viewer));
  world->clock.advance(20h);
  world->options.store.window = 36h;
  world->restart();
  for (Viewer viewer = 0; viewer < 100; ++viewer) EXPECT_FALSE(is_first("s", viewer));
  EXPECT_TRUE(is_first("s", 200));
  world->clock.advance(1h);
  world->options.store.window = 12h;
  world->restart();
  EXPECT_FALSE(is_first("s", 200));
  EXPECT_TRUE(is_first("s", 5)) << "the last view is 21 hours ago";
}

TEST_F(MemoryViewStoreTest, HoursLeaveViewsDbWhenTheyAreOldAndInSql) {
  is_first("s", 1);
  is_first("unsynced", 1);
  world->clock.advance(1s);
  auto items = must(run(store().buffered(world->clock.now(), 1)));
  ASSERT_EQ(items.size(), 1u);
  must(run(store().settle(items, must(run(world->ledger.write(items, world->clock.now()))), world->clock.now())));
  auto hours = [&](const ViewedItem& item) { return must(run(store().hours(item, UtcHour()))).size(); };
  auto synced = items[0].item;
  auto unsynced = synced == story("s") ? story("unsynced") : story("s");
  world->clock.advance(kHoursKept);
  EXPECT_FALSE(must(world->stack->file->prune(world->clock.now())));
  EXPECT_EQ(hours(synced), 1u);
  world->clock.advance(2h);
  EXPECT_FALSE(must(world->stack->file->prune(world->clock.now())));
  EXPECT_EQ(hours(synced), 0u);
  EXPECT_EQ(hours(unsynced), 1u);
}

TEST_F(MemoryViewStoreTest, ALostViewsDbBeginsAgainWithWhatSqlHas) {
  for (Viewer viewer = 0; viewer < 5; ++viewer) is_first("s", viewer);
  world->clock.advance(1s);
  auto items = must(run(store().buffered(world->clock.now(), 10)));
  must(run(store().settle(items, must(run(world->ledger.write(items, world->clock.now()))), world->clock.now())));
  TemporaryStack other(*world);
  EXPECT_EQ(must(run(other.stack.store->totals({story("s")}))).front().views, 5u);
  EXPECT_EQ(must(run(other.stack.store->view({.item = story("s"), .viewer = 9}))).views, 6u);
}

// --- trending ---

// Every look at it takes a millisecond.
class TickingClock final : public Clock {
 public:
  UtcMicros now() const override { return UtcMicros(1'700'000'000s); }
  std::chrono::steady_clock::time_point steady() const override { return std::chrono::steady_clock::time_point(++ticks_ * 1ms); }

 private:
  mutable std::atomic<int> ticks_{0};
};

TEST(MemoryViewStoreTrending, IsKeptTenTimesAsLongAsItTook) {
  sqlite::TemporaryFolder folder;
  TestViewLedger ledger;
  TickingClock clock;
  TestStack stack(folder.path(), clock, ledger, {});
  auto first = [&] {
    auto items = must(run(stack.store->trending(hour_of(clock.now()), 10)));
    return items.empty() ? std::uint64_t{0} : items.front().views;
  };
  must(run(stack.store->view({.item = story("s"), .viewer = 1})));
  EXPECT_EQ(first(), 1u);
  must(run(stack.store->view({.item = story("s"), .viewer = 2})));
  EXPECT_EQ(first(), 1u);
  EXPECT_EQ(must(run(stack.store->trending(hour_of(clock.now()) - 1h, 10))).front().views, 2u) << "of other hours";
  int looks = 0;
  while (first() != 2) ASSERT_LT(++looks, 30);
  EXPECT_GT(looks, 0);
}

}  // namespace
}  // namespace hearth::views
