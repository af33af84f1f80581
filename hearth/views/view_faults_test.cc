// Views on a disk whose n-th write or sync fails, for every n until a run passes clean: the total is the number of first
// views that were answered.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <map>
#include <ostream>
#include <random>
#include <set>
#include <string>
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
using sqlite::FaultKind;

const std::vector<std::string> kItems = {"a", "b", "c"};
constexpr int kSteps = 14;

std::uint64_t fresh_seed() {
  return std::random_device{}();
}

// Random views, each checked. One that failed is asked again, and then it is known.
class FaultRun {
 public:
  explicit FaultRun(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < 4; ++i) step();
    flush();
  }

  void step() {
    world.clock.advance(std::chrono::milliseconds(random_() % std::chrono::milliseconds(10min).count()));
    std::string item = kItems[random_() % kItems.size()];
    Viewer viewer = random_() % 30;
    auto outcome = run(world.stack->store->view({.item = story(item), .viewer = viewer}));
    if (!outcome) {
      EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable) << outcome.error().message;
      ++failed;
      if (is_lasting) return;
      world.recover();
      outcome = run(world.stack->store->view({.item = story(item), .viewer = viewer}));
      ASSERT_TRUE(outcome) << outcome.error().message;
      seen[item].insert(viewer);
    } else {
      EXPECT_EQ(seen[item].insert(viewer).second, outcome->is_first) << item << " " << viewer;
    }
    ++succeeded;
    EXPECT_EQ(outcome->views, seen[item].size()) << item;
    check(item);
    if (random_() % 5 == 0) flush();
    if (random_() % 6 == 0) sync();
  }

  // A reader either gets no answer or the right one.
  void check(const std::string& item) {
    auto totals = run(world.stack->store->totals({story(item)}));
    if (!totals && !is_lasting) {
      world.recover();
      totals = run(world.stack->store->totals({story(item)}));
    }
    if (totals) EXPECT_EQ(totals->front().views, seen[item].size()) << item;
    EXPECT_TRUE(totals || is_lasting);
  }

  void flush() {
    if (!world.stack->try_flush()) ++failed_flushes;
    world.stack->store->evict();
    world.stack->store->evict();
  }

  void sync() {
    ViewSync to_sql(*world.stack->store, world.ledger, world.clock);
    world.clock.advance(1ms);
    if (!run(to_sql.run())) ++failed_syncs;
  }

  void check_all(const std::string& when) {
    SCOPED_TRACE(when);
    for (const auto& item : kItems) {
      check(item);
      std::uint64_t in_hours = 0;
      for (const auto& hour : must(run(world.stack->store->hours(story(item), UtcHour())))) in_hours += hour.views;
      EXPECT_EQ(in_hours, seen[item].size()) << item;
      for (Viewer viewer : seen[item]) {
        EXPECT_FALSE(must(run(world.stack->store->view({.item = story(item), .viewer = viewer}))).is_first) << item << " " << viewer;
      }
      EXPECT_LE(in_sql(item), seen[item].size()) << item;
    }
    ViewSync to_sql(*world.stack->store, world.ledger, world.clock);
    world.clock.advance(1ms);
    must(run(to_sql.run()));
    for (const auto& item : kItems) EXPECT_EQ(in_sql(item), seen[item].size()) << item;
  }
  std::uint64_t in_sql(const std::string& item) { return must(run(world.ledger.totals({story(item)}))).front().views; }

  World world{{.store = {.items_bytes_max = 0}}};  // items leave memory as soon as they may
  std::map<std::string, std::set<Viewer>> seen;
  bool is_lasting = false;
  int succeeded = 0;
  int failed = 0;
  int failed_flushes = 0;
  int failed_syncs = 0;

 private:
  std::mt19937_64 random_;
};

struct Sweep {
  const char* name;
  FaultKind kind;
  const char* files;
};
void PrintTo(const Sweep& sweep, std::ostream* out) {
  *out << sweep.name;
}

class ViewFaults : public testing::TestWithParam<Sweep> {};

// The fault may meet a view, a trim, a flush, a sync to SQL, the checkpoint of the stop, or the next start.
TEST_P(ViewFaults, TheNthFailureLosesAndDoublesNothing) {
  const auto& sweep = GetParam();
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  bool met = true;
  for (std::uint64_t nth = 1; met && !HasFailure(); ++nth) {
    SCOPED_TRACE("failure " + std::to_string(nth));
    FaultRun run(seed);
    run.world.disk.inject({.kind = sweep.kind, .files = sweep.files, .nth = nth});
    for (int i = 0; i < kSteps; ++i) run.step();
    if (std::string_view(sweep.files) == "views.db") {
      EXPECT_EQ(run.failed, 0) << "views go on while views.db cannot be written";
    } else {
      EXPECT_LE(run.failed, 1);
    }
    if (run.world.disk.faults_met() > 0) {
      run.step();  // behind it the failure is over, also that of a trim
      run.world.recover();
      run.check_all("at the end");
    }
    run.world.restart_despite_faults();
    run.world.disk.heal();
    met = run.world.disk.faults_met() > 0;
    run.step();
    run.world.recover();
    run.check_all("after a restart");
    run.step();
    run.world.lose_power();
    run.check_all("after a power cut");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Disk, ViewFaults,
    testing::Values(Sweep{"JournalWrite", FaultKind::kWriteError, "journal.db"},
                    Sweep{"JournalTornWrite", FaultKind::kTornWrite, "journal.db"},
                    Sweep{"JournalFull", FaultKind::kDiskFull, "journal.db"}, Sweep{"JournalSync", FaultKind::kSyncError, "journal.db"},
                    Sweep{"ViewsWrite", FaultKind::kWriteError, "views.db"}, Sweep{"ViewsTornWrite", FaultKind::kTornWrite, "views.db"},
                    Sweep{"ViewsFull", FaultKind::kDiskFull, "views.db"}, Sweep{"ViewsSync", FaultKind::kSyncError, "views.db"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ViewFaultsThatLast, ViewsAreRefusedUntilTheDiskIsWell) {
  for (FaultKind kind : {FaultKind::kWriteError, FaultKind::kSyncError, FaultKind::kDiskFull}) {
    FaultRun run(7);
    run.world.disk.inject({.kind = kind, .files = "journal.db", .is_lasting = true});
    run.is_lasting = true;
    for (Viewer viewer = 1'000; viewer < 1'010; ++viewer) {
      EXPECT_FALSE(outbox::run(run.world.stack->store->view({.item = story("a"), .viewer = viewer})));
    }
    run.world.disk.heal();
    run.is_lasting = false;
    run.world.recover();
    run.check_all("after the disk was healed");
    int succeeded = run.succeeded;
    for (int i = 0; i < 10; ++i) run.step();
    EXPECT_EQ(run.succeeded, succeeded + 10);
    run.world.lose_power();
    run.check_all("after a power cut");
  }
}

TEST(ViewFaultsThatLast, ViewsGoOnWhileViewsDbIsFullAndAreFlushedLater) {
  FaultRun run(7);
  run.world.disk.inject({.kind = FaultKind::kDiskFull, .files = "views.db", .is_lasting = true});
  for (int i = 0; i < 60; ++i) run.step();
  EXPECT_EQ(run.failed, 0);
  EXPECT_GT(run.failed_flushes, 0);
  EXPECT_GT(run.failed_syncs, 0);
  EXPECT_THROW(run.world.restart(), std::runtime_error) << "it does not serve what it cannot bring together";
  run.world.disk.heal();
  run.world.open();
  run.check_all("after there was room again");
}

TEST(ViewFaultsThatLast, ASyncGoesOnWhereItWasWhenSqlIsBack) {
  FaultRun run(7);
  while (run.seen.size() < kItems.size()) run.step();
  for (const auto& item : kItems) run.check(item);  // they are in memory now
  run.world.ledger.is_away = true;
  for (int i = 0; i < 40; ++i) {
    run.world.clock.advance(1s);
    auto item = kItems[static_cast<std::size_t>(i) % kItems.size()];
    auto outcome = outbox::run(run.world.stack->store->view({.item = story(item), .viewer = Viewer(500 + i)}));
    ASSERT_TRUE(outcome) << "SQL is not asked for what is in memory";
    run.seen[item].insert(Viewer(500 + i));
  }
  run.sync();
  EXPECT_GT(run.failed_syncs, 0);
  EXPECT_FALSE(outbox::run(run.world.stack->store->view({.item = story("new"), .viewer = 1}))) << "its total may be in SQL";
  run.world.ledger.is_away = false;
  run.check_all("after SQL came back");
}

// --- many callers ---

// One who asks until there is an answer.
struct Caller {
  std::set<std::pair<std::string, Viewer>> answered;
  std::set<std::pair<std::string, Viewer>> firsts;
  std::map<std::string, std::uint64_t> shown;  // the largest total of each item
  int failures = 0;
  std::string fault;
};

Task<void> view_and_check(MemoryViewStore& store, std::uint64_t seed, int operations, Caller& caller, std::atomic<int>& running) {
  std::mt19937_64 random(seed);
  auto note = [&](const std::string& item, std::uint64_t views) {
    if (views < caller.shown[item]) caller.fault = item + " went down";
    caller.shown[item] = views;
  };
  for (int i = 0; i < operations && caller.fault.empty();) {
    std::string item = kItems[random() % kItems.size()];
    Viewer viewer = random() % 1'500;
    for (;;) {
      auto outcome = co_await store.view({.item = story(item), .viewer = viewer});
      // Leaves the loop to others, also while everything is refused at once.
      co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
      if (!outcome) {
        ++caller.failures;
        continue;
      }
      caller.answered.emplace(item, viewer);
      if (outcome->is_first) caller.firsts.emplace(item, viewer);
      note(item, outcome->views);
      break;
    }
    ++i;
    auto totals = co_await store.totals({story(item)});
    if (totals) note(item, totals->front().views);
  }
  --running;
}

// Until all callers have ended: those that get no answer ask again.
Task<void> flush_with_faults(World& world, std::uint64_t seed, const std::atomic<int>& callers) {
  std::mt19937_64 random(seed);
  ViewSync to_sql(*world.stack->store, world.ledger, world.clock);
  for (std::uint64_t injected = 0; callers > 0;) {
    // Not while the journal recovers: it would wait longer each time.
    if (world.stack->journal->is_accepting() && injected < world.disk.faults_met() + 2) {
      ++injected;
      FaultKind kind =
          std::vector{FaultKind::kSyncError, FaultKind::kWriteError, FaultKind::kTornWrite, FaultKind::kDiskFull}[random() % 4];
      world.disk.inject({.kind = kind, .files = random() % 3 == 0 ? "views.db" : "journal.db", .nth = random() % 40 + 1});
    }
    world.clock.advance(1ms);
    (void)world.stack->try_flush();
    world.stack->store->evict();
    if (random() % 10 == 0) (void)co_await to_sql.run();
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
}

TEST(ViewFaultsUnderLoad, TheTotalIsTheNumberOfFirstViews) {
  constexpr int kCallers = 9;
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  World world({.store = {.items_bytes_max = 300}});
  std::vector<Caller> callers(kCallers);
  std::atomic<int> running{kCallers};
  for (int i = 0; i < kCallers; ++i) world.loops.spawn(i % 3, view_and_check(*world.stack->store, seed + i, 300, callers[i], running));
  world.loops.spawn(3, flush_with_faults(world, seed, running));
  world.loops.run();
  EXPECT_GT(world.disk.faults_met(), 0u);
  world.disk.heal();
  world.recover();
  std::map<std::string, std::set<Viewer>> seen;
  std::set<std::pair<std::string, Viewer>> firsts;
  for (const auto& caller : callers) {
    EXPECT_EQ(caller.fault, "");
    for (const auto& [item, viewer] : caller.answered) seen[item].insert(viewer);
    for (const auto& first : caller.firsts) EXPECT_TRUE(firsts.insert(first).second) << "counted twice";
  }
  world.clock.advance(1s);
  ViewSync to_sql(*world.stack->store, world.ledger, world.clock);
  must(run(to_sql.run()));
  for (const auto& item : kItems) {
    EXPECT_EQ(must(run(world.stack->store->totals({story(item)}))).front().views, seen[item].size());
    EXPECT_EQ(must(run(world.ledger.totals({story(item)}))).front().views, seen[item].size());
  }
  world.lose_power();
  for (const auto& item : kItems) EXPECT_EQ(must(run(world.stack->store->totals({story(item)}))).front().views, seen[item].size());
}

}  // namespace
}  // namespace hearth::views
