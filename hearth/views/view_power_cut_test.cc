// Power cuts: a view that was answered is there and counts once, and nobody was told of a total that is not. The disk forgets
// what was not synced.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/views/test_world.h"
#include "hearth/views/view_store_conformance.h"
#include "hearth/views/view_sync.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;
using outbox::must;
using outbox::run;
using outbox::start;
using sqlite::FaultKind;

const std::vector<std::string> kItems = {"a", "b", "c"};
constexpr int kWriters = 6;
constexpr int kReaders = 3;

std::uint64_t fresh_seed() {
  return std::random_device{}();
}

// --- under load ---

struct Progress {
  std::atomic<int> answers = 0;
  std::atomic<bool> is_cut = false;
};

// What one caller was told until the power went.
struct Told {
  std::set<std::pair<std::string, Viewer>> answered;
  std::set<std::pair<std::string, Viewer>> unknown;  // asked and not answered
  std::map<std::string, std::uint64_t> totals;
};

Task<void> view_until_the_cut(MemoryViewStore& store, std::uint64_t seed, Told& told, Progress& progress) {
  std::mt19937_64 random(seed);
  // Who was seen before is still answered from memory.
  for (int after_cut = 0; after_cut < 20; after_cut += progress.is_cut ? 1 : 0) {
    std::string item = kItems[random() % kItems.size()];
    Viewer viewer = random() % 300;
    auto outcome = co_await store.view({.item = story(item), .viewer = viewer});
    if (!outcome) {
      told.unknown.emplace(item, viewer);
      co_return;
    }
    ++progress.answers;
    told.answered.emplace(item, viewer);
    told.totals[item] = std::max(told.totals[item], outcome->views);
  }
}

// Goes on for a while: what is in memory can still be read, and must still be true.
Task<void> read_until_the_cut(MemoryViewStore& store, Told& told, const Progress& progress) {
  for (int after_cut = 0; after_cut < 20; after_cut += progress.is_cut ? 1 : 0) {
    auto totals = co_await store.totals({story("a"), story("b"), story("c")});
    if (!totals) co_return;
    for (std::size_t i = 0; i < kItems.size(); ++i) told.totals[kItems[i]] = std::max(told.totals[kItems[i]], (*totals)[i].views);
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
}

Task<void> flush_and_cut(World& world, Progress& progress, int answers_max, int flush_every) {
  ViewSync to_sql(*world.stack->store, world.ledger, world.clock);
  for (int flushed_at = 0; progress.answers < answers_max;) {
    if (progress.answers - flushed_at >= flush_every) {
      flushed_at = progress.answers;
      world.clock.advance(1ms);
      (void)world.stack->try_flush();
      world.stack->store->evict();
      if (flushed_at % 3 == 0) (void)co_await to_sql.run();
    }
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
  world.disk.cut();
  progress.is_cut = true;
}

// Asks everyone again: all who were answered are known, and the total is who is known.
void expect_as_told(World& world, const std::vector<Told>& all) {
  std::map<std::string, std::set<Viewer>> asked;
  for (const auto& told : all) {
    for (const auto& [item, shown] : told.totals) {
      EXPECT_GE(must(run(world.stack->store->totals({story(item)}))).front().views, shown) << item;
    }
    for (const auto& [item, viewer] : told.answered) {
      EXPECT_FALSE(must(run(world.stack->store->view({.item = story(item), .viewer = viewer}))).is_first) << item << " " << viewer;
      asked[item].insert(viewer);
    }
  }
  for (const auto& told : all) {
    for (const auto& [item, viewer] : told.unknown) {
      must(run(world.stack->store->view({.item = story(item), .viewer = viewer})));
      asked[item].insert(viewer);
    }
  }
  world.clock.advance(1s);
  ViewSync to_sql(*world.stack->store, world.ledger, world.clock);
  must(run(to_sql.run()));
  for (const auto& [item, viewers] : asked) {
    EXPECT_EQ(must(run(world.stack->store->totals({story(item)}))).front().views, viewers.size()) << item;
    EXPECT_EQ(must(run(world.ledger.totals({story(item)}))).front().views, viewers.size()) << item;
  }
}

void cut_under_load(std::uint64_t seed, bool keeps_some) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  World world({.store = {.items_bytes_max = 300}});
  std::vector<Told> told(kWriters + kReaders);
  Progress progress;
  for (int i = 0; i < kWriters + kReaders; ++i) {
    world.loops.spawn(i % 3, i < kWriters ? view_until_the_cut(*world.stack->store, seed + i, told[i], progress)
                                          : read_until_the_cut(*world.stack->store, told[i], progress));
  }
  world.loops.spawn(3, flush_and_cut(world, progress, static_cast<int>(random() % 300), static_cast<int>(random() % 40 + 5)));
  world.loops.run();
  world.lose_power(keeps_some ? std::optional(random()) : std::nullopt);
  expect_as_told(world, told);
}

TEST(ViewPowerCut, WhatWasAnsweredOrShownUnderLoadIsThere) {
  std::uint64_t seed = fresh_seed();
  for (int round = 0; round < 40 && !testing::Test::HasFailure(); ++round) cut_under_load(seed + round, false);
}

TEST(ViewPowerCut, TheSameWhenTheDiskKeptSomeOfTheRest) {
  std::uint64_t seed = fresh_seed();
  for (int round = 0; round < 40 && !testing::Test::HasFailure(); ++round) cut_under_load(seed + round, true);
}

// --- a view that is in memory and not on disk ---

TEST(ViewPowerCut, AReaderIsNotToldOfAViewThatIsTakenBack) {
  World world;
  must(run(world.stack->store->view({.item = story("a"), .viewer = 1})));
  world.disk.hold_syncs("journal.db");
  auto viewed = start(world.loops[0], world.stack->store->view({.item = story("a"), .viewer = 2}));
  world.loops.poll();
  world.disk.wait_until_held();
  auto read = start(world.loops[0], world.stack->store->totals({story("a")}));
  auto repeated = start(world.loops[0], world.stack->store->view({.item = story("a"), .viewer = 2}));
  world.loops.poll();
  EXPECT_FALSE(viewed->is_answered());
  EXPECT_FALSE(read->is_answered());
  EXPECT_FALSE(repeated->is_answered()) << "a repeated view tells the total too";
  world.disk.cut();
  world.loops.run();
  EXPECT_FALSE(*viewed->answer);
  EXPECT_FALSE(*read->answer);
  EXPECT_FALSE(*repeated->answer);
  world.lose_power();
  EXPECT_EQ(must(run(world.stack->store->totals({story("a")}))).front().views, 1u);
  EXPECT_TRUE(must(run(world.stack->store->view({.item = story("a"), .viewer = 2}))).is_first);
}

// --- one caller, whose every view is known ---

class History {
 public:
  explicit History(World& world) : world_(world) {}

  void view(std::uint64_t random) {
    const std::string& item = kItems[random % kItems.size()];
    auto outcome = must(run(world_.stack->store->view({.item = story(item), .viewer = random / 8})));
    if (outcome.is_first) firsts_.emplace_back(item, random / 8);
  }
  std::size_t now() const { return firsts_.size(); }

  // Views are as they were at some moment from `first` on.
  void expect_at_or_after(std::size_t first) {
    std::map<std::string, std::uint64_t> totals;
    std::uint64_t sum = 0;
    for (const auto& item : kItems) {
      totals[item] = must(run(world_.stack->store->totals({story(item)}))).front().views;
      sum += totals[item];
      std::uint64_t in_hours = 0;
      for (const auto& hour : must(run(world_.stack->store->hours(story(item), UtcHour())))) in_hours += hour.views;
      EXPECT_EQ(in_hours, totals[item]) << item;
    }
    ASSERT_GE(sum, first);
    ASSERT_LE(sum, now());
    for (std::size_t i = 0; i < now(); ++i) {
      const auto& [item, viewer] = firsts_[i];
      auto again = must(run(world_.stack->store->view({.item = story(item), .viewer = viewer})));
      EXPECT_EQ(again.is_first, i >= sum) << item << " " << viewer;
    }
    for (const auto& item : kItems) {
      auto total = must(run(world_.stack->store->totals({story(item)}))).front().views;
      EXPECT_EQ(total, static_cast<std::uint64_t>(std::ranges::count(firsts_, item, &std::pair<std::string, Viewer>::first)));
    }
  }

 private:
  World& world_;
  std::vector<std::pair<std::string, Viewer>> firsts_;  // in the order of their answers
};

TEST(ViewPowerCut, RelaxedLosesAtMostWhatCameAfterTheLastSync) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int round = 0; round < 10; ++round) {
    std::mt19937_64 random(seed + round);
    World world({.durability = outbox::Durability::kRelaxed});
    History history(world);
    for (int i = 0; i < 20; ++i) history.view(random());
    if (round % 2 == 0) world.stack->flush();
    std::size_t synced = history.now();
    auto syncs = world.disk.counts("journal.db-wal").syncs;
    while (world.disk.counts("journal.db-wal").syncs == syncs) {  // one that began after `synced`
      history.view(random());
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    world.disk.hold_syncs("journal.db-wal");
    for (int i = 0; i < 10; ++i) history.view(random());
    if (round % 3 == 0) world.stack->flush();  // views.db may then have more than the journal
    world.lose_power(round % 4 < 2 ? std::nullopt : std::optional(random()));
    history.expect_at_or_after(synced);
  }
}

TEST(ViewPowerCut, InTheMiddleOfAFlushNothingIsLostOrDoubled) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  bool met = true;
  for (std::uint64_t nth = 1; met && !testing::Test::HasFailure(); ++nth) {
    SCOPED_TRACE("write " + std::to_string(nth));
    std::mt19937_64 random(seed);
    World world;
    History history(world);
    for (int i = 0; i < 10; ++i) history.view(random());
    world.stack->flush();
    for (int i = 0; i < 10; ++i) history.view(random());
    world.disk.inject({.kind = FaultKind::kTornWrite, .files = "views.db", .nth = nth, .is_lasting = true});
    world.disk.inject({.kind = FaultKind::kSyncError, .files = "views.db", .nth = nth, .is_lasting = true});
    (void)world.stack->try_flush();
    met = world.disk.faults_met() > 0;
    world.disk.cut();
    world.disk.heal();
    world.lose_power(nth % 2 == 0 ? std::nullopt : std::optional(random()));
    history.expect_at_or_after(history.now());
  }
}

TEST(ViewPowerCut, BetweenAWriteToSqlAndItsSettlingNothingIsDoubled) {
  for (bool is_settled : {false, true}) {
    World world;
    for (Viewer viewer = 0; viewer < 10; ++viewer) must(run(world.stack->store->view({.item = story("a"), .viewer = viewer})));
    world.clock.advance(1s);
    auto items = must(run(world.stack->store->buffered(world.clock.now(), 10)));
    auto written = must(run(world.ledger.write(items, world.clock.now())));
    must(run(world.stack->store->view({.item = story("a"), .viewer = 10})));
    if (is_settled) must(run(world.stack->store->settle(items, written, world.clock.now())));
    world.lose_power();
    auto total = must(run(world.stack->store->totals({story("a")}))).front();
    EXPECT_EQ(total.views, 11u);
    EXPECT_EQ(total.buffered, is_settled ? 1u : 11u);
    world.clock.advance(1s);
    ViewSync to_sql(*world.stack->store, world.ledger, world.clock);
    EXPECT_EQ(must(run(to_sql.run())).story_views, 1u);
    EXPECT_EQ(must(run(world.ledger.totals({story("a")}))).front().views, 11u);
  }
}

}  // namespace
}  // namespace hearth::views
