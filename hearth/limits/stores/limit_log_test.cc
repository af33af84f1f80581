// The embedded limits over restarts, on disks that fail, and under clocks that step.

#include "hearth/limits/stores/limit_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/limits/limiter_model.h"
#include "hearth/limits/limiter_under_test.h"
#include "hearth/limits/stores/memory_limiter.h"

namespace hearth::limits {
namespace {

using namespace std::chrono_literals;

const UtcMicros kNow{1'700'000'000s};

class LimitLogs : public testing::Test {
 protected:
  LimitLogs() {
    options.cleans_itself = false;
    options.log.vfs = disk.name();
  }
  void open() {
    limiter.reset();
    limiter = must(MemoryLimiter::open(folder.path(), clock, options));
    limiter->start();
  }
  bool take(const Check& check) { return must(run(limiter->take({check})))[0].is_allowed; }
  int admitted(const Check& check, int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) count += take(check) ? 1 : 0;
    return count;
  }
  std::uint64_t remaining(const Check& check) { return must(run(limiter->peek({check})))[0].remaining; }
  void clean_until(auto&& is_done) {
    while (!is_done()) {
      must(limiter->clean());
      std::this_thread::yield();
    }
  }

  sqlite::FaultVfs disk;
  sqlite::TemporaryFolder folder;
  SimulatedClock clock;
  MemoryLimiterOptions options;
  std::unique_ptr<MemoryLimiter> limiter;
};

// --- events ---

TEST(LimitEvents, AreReadAsWritten) {
  LimitState gcra(Algorithm::kGcra);
  gcra.take(check_of("g", 3, 1s, Algorithm::kGcra), kExactEntriesMax, kNow);
  std::string bytes;
  const std::string long_key(128, 'g');
  std::vector<std::size_t> ends;
  encode_admitted({"a", Algorithm::kSlidingWindow, 1s}, kNow, kNow + 5s, 7, bytes);
  ends.push_back(bytes.size());
  encode_refunded({"b", Algorithm::kSlidingWindow, 2s}, kNow + 1s, kNow - 1s, 1, bytes);
  ends.push_back(bytes.size());
  encode_state({long_key, Algorithm::kGcra, kWindowMax}, kNow, gcra, bytes);
  std::vector<std::string> seen;
  must(decode_events(bytes, [&](LimitEvent& event) {
    seen.push_back(std::to_string(static_cast<int>(event.kind)) + " " + std::string(event.name.key.substr(0, 3)) + " " +
                   std::to_string(event.name.window.count()) + " " + std::to_string(event.cost) + " " +
                   std::to_string((event.at - kNow).count()) + " " + std::to_string((event.counted_at - kNow).count()) +
                   (event.state ? " state" : ""));
  }));
  const std::string none = " " + std::to_string(-kNow.time_since_epoch().count());
  EXPECT_EQ(seen,
            (std::vector<std::string>{"2 a 1000 7 0 5000000", "3 b 2000 1 1000000 -1000000", "4 ggg 2592000000 0 0" + none + " state"}));
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    bool is_whole = !!decode_events(std::string_view(bytes).substr(0, cut), [](LimitEvent&) {});
    EXPECT_EQ(is_whole, std::ranges::find(ends, cut) != ends.end()) << cut;
  }
}

TEST(LimitEvents, NonsenseIsRefused) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 50'000; ++i) {
    std::string bytes(1 + random() % 30, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? random() : random() % 5);
    (void)decode_events(bytes, [](LimitEvent& event) {
      if (event.state) event.state->is_empty(event.name.window, UtcMicros(1s));
    });
  }
}

// --- restarts ---

TEST_F(LimitLogs, AStepOfTheWallClockBetweenTwoProcessesIsNotSeen) {
  open();
  for (Algorithm algorithm : kAlgorithms) EXPECT_TRUE(take(check_of("k", 1, 24h, algorithm)));
  for (auto step : {-24h * 1'000, 24h * 3'000}) {
    clock.step_wall(step);
    clock.advance(1s);
    open();
    for (Algorithm algorithm : kAlgorithms) EXPECT_FALSE(take(check_of("k", 1, 24h, algorithm)));
  }
}

TEST_F(LimitLogs, AfterAnotherBootTheWallClockTells) {
  open();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(take(check_of("k", 5, 1h)));
    clock.advance(1min);
  }
  EXPECT_TRUE(take(check_of("k", 1, 1h, Algorithm::kGcra)));
  clock.reboot();
  clock.advance(10min);
  open();
  EXPECT_FALSE(take(check_of("k", 5, 1h)));
  EXPECT_FALSE(take(check_of("k", 1, 1h, Algorithm::kGcra)));
  clock.advance(45min);  // the first is an hour old
  EXPECT_EQ(admitted(check_of("k", 5, 1h), 9), 1);
  clock.advance(5min);
  EXPECT_TRUE(take(check_of("k", 1, 1h, Algorithm::kGcra)));
}

TEST_F(LimitLogs, AWallClockThatWasSetBackBeforeAnotherBootNeverAdmitsMore) {
  open();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(take(check_of("k", 5, 1h)));
    clock.advance(1min);
  }
  EXPECT_TRUE(take(check_of("k", 1, 1h, Algorithm::kGcra)));
  EXPECT_TRUE(take(check_of("k", 1, 1h, Algorithm::kFixedWindow)));
  clock.reboot();
  clock.step_wall(-24h * 365);
  open();
  EXPECT_FALSE(take(check_of("k", 5, 1h)));
  EXPECT_FALSE(take(check_of("k", 1, 1h, Algorithm::kGcra)));
  EXPECT_FALSE(take(check_of("k", 1, 1h, Algorithm::kFixedWindow)));
  open();
  clock.advance(54min);  // the log ends five minutes after the first
  EXPECT_FALSE(take(check_of("k", 5, 1h)));
  clock.advance(6min);  // and not for a year
  EXPECT_EQ(admitted(check_of("k", 5, 1h), 9), 5);
  EXPECT_TRUE(take(check_of("k", 1, 1h, Algorithm::kGcra)));
  EXPECT_TRUE(take(check_of("k", 1, 1h, Algorithm::kFixedWindow)));
}

TEST_F(LimitLogs, AClockWhoseBootIsNotKnownIsReadByTheWall) {
  class Unknown final : public Clock {
   public:
    UtcMicros now() const override { return wall; }
    std::chrono::steady_clock::time_point steady() const override { return {}; }
    UtcMicros wall{1'700'000'000s};
  };
  Unknown unknown;
  for (int round = 0; round < 3; ++round) {
    limiter.reset();
    limiter = must(MemoryLimiter::open(folder.path(), unknown, options));
    limiter->start();
    EXPECT_EQ(take(check_of("k", 1, 1h)), round != 1);
    unknown.wall += 30min;
  }
}

TEST_F(LimitLogs, EachCheckOfARequestIsReadBackWithItsOwnTime) {
  options.exact_entries_max = 10;
  open();
  clock.advance(1us);
  Check exact = check_of("k", 10, 1s);
  Check rounded = check_of("k", 100, 1s);
  must(run(limiter->take({exact, rounded})));
  auto before = must(run(limiter->peek({rounded})));
  EXPECT_EQ(before[0].reset, clock.now() + 1s);
  open();
  EXPECT_EQ(must(run(limiter->peek({rounded}))), before);
}

TEST_F(LimitLogs, WhatWasRefundedOrHasExpiredIsNotThereAfterwards) {
  open();
  for (Algorithm algorithm : kAlgorithms) {
    EXPECT_TRUE(take(check_of("given", 1, 24h, algorithm)));
    must(run(limiter->refund(check_of("given", 1, 24h, algorithm))));
    EXPECT_TRUE(take(check_of("expired", 1, 1ms, algorithm)));
  }
  must(run(limiter->take({check_of("rolled-back", 2, 24h), check_of("full", 1, 24h), check_of("full", 1, 24h)})));
  clock.advance(1s);
  open();
  must(limiter->clean());
  EXPECT_EQ(limiter->stats().keys, 0u);
  for (Algorithm algorithm : kAlgorithms) EXPECT_EQ(remaining(check_of("given", 1, 24h, algorithm)), 1u);
  EXPECT_EQ(remaining(check_of("rolled-back", 2, 24h)), 2u);
}

// A process that is killed loses nothing that was written: its file is read as another process would find it.
TEST_F(LimitLogs, AKilledProcessLeavesWhatItWrote) {
  open();
  EXPECT_EQ(admitted(check_of("k", 3, 24h), 9), 3);
  options.log.vfs = {};
  for (std::uint64_t left = 3; left != 0;) {
    sqlite::TemporaryFolder copy;
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      if (!file.path().string().ends_with("-shm")) std::filesystem::copy(file, copy.path() / file.path().filename());
    }
    auto found = MemoryLimiter::open(copy.path(), clock, options);
    if (found) left = must(run((*found)->peek({check_of("k", 3, 24h)})))[0].remaining;
  }
}

TEST_F(LimitLogs, ADamagedFileIsRefusedWithItsName) {
  open();
  limiter.reset();
  std::filesystem::resize_file(folder.path() / "limits.db", 5'000);
  auto opened = MemoryLimiter::open(folder.path(), clock, options);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("limits.db"), std::string::npos);
}

// --- the log's size ---

TEST_F(LimitLogs, TheLogStaysBoundedAndTellsAll) {
  options.log.slack_bytes = 64'000;
  options.memory_limit = 64u << 20;
  open();
  std::uint64_t most = 0;
  for (int i = 0; i < 60'000; ++i) {
    clock.advance(1ms);
    take(check_of("k" + std::to_string(i % 100), 1'000, 2s, kAlgorithms[i % 3]));
    if (i % 50 == 0) must(limiter->clean());
    if (i % 50 == 0) most = std::max(most, limiter->stats().log_bytes);
  }
  EXPECT_GT(limiter->stats().log_rewritten, 1u);
  EXPECT_LE(most, 5 * limiter->stats().bytes + 64'000) << "while it is rewritten, the old is still there";
  auto look = [&] {
    std::vector<Decision> decisions;
    for (int i = 0; i < 300; ++i) {
      decisions.push_back(must(run(limiter->peek({check_of("k" + std::to_string(i % 100), 1'000, 2s, kAlgorithms[i / 100])})))[0]);
    }
    return decisions;
  };
  auto before = look();
  open();
  EXPECT_EQ(look(), before);
}

TEST_F(LimitLogs, RewritingBesideCallersLosesNothing) {
  options.log.slack_bytes = 1'000;
  open();
  std::atomic<bool> is_over{false};
  std::thread cleaner([&] {
    while (!is_over) must(limiter->clean());
  });
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 30'000; ++i) {
        Check check = check_of("k" + std::to_string(random() % 50), 1'000'000, 24h, kAlgorithms[random() % 3]);
        (void)must(run(limiter->take({check})));
        if (i % 7 == 0) (void)must(run(limiter->refund(check)));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  is_over = true;
  cleaner.join();
  EXPECT_GT(limiter->stats().log_rewritten, 0u);
  std::vector<std::uint64_t> before, after;
  for (int i = 0; i < 150; ++i) before.push_back(remaining(check_of("k" + std::to_string(i % 50), 1'000'000, 24h, kAlgorithms[i / 50])));
  open();
  for (int i = 0; i < 150; ++i) after.push_back(remaining(check_of("k" + std::to_string(i % 50), 1'000'000, 24h, kAlgorithms[i / 50])));
  EXPECT_EQ(after, before);
}

TEST_F(LimitLogs, TheCleanerWorksByItself) {
  options.cleans_itself = true;
  options.log.slack_bytes = 0;
  open();
  EXPECT_TRUE(take(check_of("short", 1, 1ms)));
  Check check = check_of("k", 1'000, 24h, Algorithm::kGcra);
  EXPECT_EQ(admitted(check, 600), 600);
  clock.advance(1ms);
  while (limiter->stats().keys != 1 || limiter->stats().log_rewritten == 0) std::this_thread::yield();
  limiter->stop();
  limiter->stop();
  EXPECT_TRUE(take(check)) << "without its log it goes on";
  open();
  EXPECT_EQ(remaining(check), 400u);
}

// --- disks that fail ---

TEST_F(LimitLogs, OnAFullDiskLimitsGoOnInMemoryAndReachItLater) {
  open();
  EXPECT_EQ(admitted(check_of("before", 5, 24h), 2), 2);
  clean_until([&] { return limiter->stats().is_logged; });
  disk.inject({.kind = sqlite::FaultKind::kDiskFull, .files = "limits.db", .is_lasting = true});
  EXPECT_EQ(admitted(check_of("k", 5, 24h), 9), 5);
  clean_until([&] { return !limiter->stats().is_logged; });
  EXPECT_EQ(admitted(check_of("k2", 5, 24h), 9), 5);
  EXPECT_GT(limiter->stats().log_refused, 0u);
  disk.heal();
  clean_until([&] { return limiter->stats().is_logged; });
  open();
  EXPECT_EQ(remaining(check_of("before", 5, 24h)), 3u);
  EXPECT_EQ(remaining(check_of("k", 5, 24h)), 0u);
  EXPECT_EQ(remaining(check_of("k2", 5, 24h)), 0u);
}

// What the disk took before stays until all of it was written again.
TEST_F(LimitLogs, ARewritingThatTheDiskRefusesLeavesTheOldLog) {
  options.log.slack_bytes = 0;
  open();
  Check check = check_of("k", 1'000, 24h, Algorithm::kGcra);
  EXPECT_EQ(admitted(check, 600), 600);
  open();
  auto refused = [&] { return limiter->stats().log_refused; };
  disk.inject({.kind = sqlite::FaultKind::kDiskFull, .files = "limits.db", .is_lasting = true});
  clean_until([&] { return refused() != 0; });
  for (int i = 0; i < 5; ++i) must(limiter->clean());
  EXPECT_EQ(limiter->stats().log_rewritten, 0u);
  disk.heal();
  for (bool is_taken = false; !is_taken;) {
    auto before = refused();
    take(check_of("other", 1'000'000, 24h));
    is_taken = refused() == before;
  }
  open();
  EXPECT_EQ(remaining(check), 400u);
}

TEST_F(LimitLogs, ALogThatIsTooFullIsWrittenAnew) {
  options.log.bytes_max = 40'000;
  open();
  EXPECT_EQ(admitted(check_of("k", 4'000, 24h), 5'000), 4'000) << "nobody cleans meanwhile";
  EXPECT_FALSE(limiter->stats().is_logged);
  clean_until([&] { return limiter->stats().is_logged; });
  open();
  EXPECT_EQ(remaining(check_of("k", 4'000, 24h)), 0u);
}

TEST_F(LimitLogs, APowerCutNeverLeavesWhatWasNot) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    open();
    EXPECT_TRUE(take(check_of("k" + std::to_string(seed), 3, 24h)));
    disk.cut();
    limiter.reset();
    disk.revert(seed);
    disk.thaw();
    open();
    EXPECT_LE(admitted(check_of("k" + std::to_string(seed), 3, 24h), 9), 3);
    limiter.reset();
  }
}

}  // namespace
}  // namespace hearth::limits
