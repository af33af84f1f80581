// What the memory of the embedded limiter holds, and that it stays under its bound.

#include "hearth/limits/stores/memory_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hearth/limits/limit_service.h"
#include "hearth/limits/limiter_under_test.h"

namespace hearth::limits {
namespace {

using namespace std::chrono_literals;

class MemoryLimits : public testing::Test {
 protected:
  void make(std::uint64_t memory_limit, std::size_t exact_entries_max = kExactEntriesMax) {
    limit_ = memory_limit;
    limiter = std::make_unique<MemoryLimiter>(
        clock, MemoryLimiterOptions{.memory_limit = memory_limit, .exact_entries_max = exact_entries_max, .cleans_itself = false});
  }
  Result<Decision> take(Check check) {
    auto decisions = run(limiter->take({std::move(check)}));
    EXPECT_LE(limiter->stats().bytes, limit_);
    if (!decisions) return std::unexpected(decisions.error());
    return decisions->front();
  }
  // Looks through all keys once.
  void clean_all() {
    auto steps = limiter->stats().keys / 20'000 + 2;
    for (std::uint64_t i = 0; i < steps; ++i) must(limiter->clean());
  }

  SimulatedClock clock;
  std::unique_ptr<MemoryLimiter> limiter;

 private:
  std::uint64_t limit_ = 0;
};

std::string key_of_20_bytes(int i) {
  std::string key = "user:" + std::to_string(i);
  return key + std::string(20 - key.size(), '.');
}

TEST_F(MemoryLimits, AMillionKeysTakeLessThan100BytesEach) {
  make(256u << 20);
  for (int i = 0; i < 1'000'000; ++i) ASSERT_TRUE(take(check_of(key_of_20_bytes(i), 10, 1h))->is_allowed);
  auto stats = limiter->stats();
  EXPECT_EQ(stats.keys, 1'000'000u);
  RecordProperty("bytes_per_key", static_cast<int>(stats.bytes / stats.keys));
  EXPECT_LE(stats.bytes, 100u * stats.keys);
  EXPECT_FALSE(take(check_of(key_of_20_bytes(7), 1, 1h))->is_allowed) << "and all are known";
  clock.advance(1h);
  clean_all();
  EXPECT_EQ(limiter->stats().keys, 0u);
  EXPECT_EQ(limiter->stats().expired, 1'000'000u);
  EXPECT_LE(limiter->stats().bytes, 5'000'000u);
}

TEST_F(MemoryLimits, AMillionKeysOfAllKindsStayUnderTheBound) {
  make(24u << 20);
  std::mt19937_64 random(1);
  const std::uint64_t limits[] = {1, 100, 1'000'000, kLimitMax};
  const std::chrono::milliseconds windows[] = {1ms, 1s, 1h, kWindowMax};
  std::uint64_t full = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    if (i % 20'000 == 0) clock.advance(400ms), must(limiter->clean());
    Check check = check_of("k" + std::to_string(i) + std::string(random() % 60, 'x'), limits[random() % 4], windows[random() % 4],
                           kAlgorithms[random() % 3]);
    auto decision = take(check);
    if (decision) EXPECT_TRUE(decision->is_allowed);
    if (decision) continue;
    ASSERT_EQ(decision.error().code, ErrorCode::kUnavailable);
    ++full;
  }
  auto stats = limiter->stats();
  EXPECT_GT(full, 0u);
  EXPECT_EQ(stats.refused_full, full);
  EXPECT_GT(stats.expired, 200'000u) << "keys of short windows make room for others";
  EXPECT_GT(stats.keys, 150'000u);
}

TEST_F(MemoryLimits, AtTheBoundThoseThatAreThereGoOn) {
  make(4u << 20);
  for (int i = 0; limiter->stats().refused_full < 10'000; ++i) (void)take(check_of(key_of_20_bytes(i), 10, 1h));  // in each shard
  clock.advance(1s);
  for (int i = 0; i < 5'000; ++i) ASSERT_TRUE(take(check_of(key_of_20_bytes(i), 10, 1h))) << i;
  EXPECT_TRUE(must(run(limiter->peek({check_of("unknown", 1, 1h)})))[0].is_allowed) << "looking takes no memory";
  EXPECT_TRUE(must(run(limiter->refund(check_of("unknown", 1, 1h)))).is_allowed);
  EXPECT_FALSE(run(limiter->take({check_of(key_of_20_bytes(0), 10, 1h), check_of("unknown", 1, 1h)})));
  EXPECT_EQ(must(run(limiter->peek({check_of(key_of_20_bytes(0), 10, 1h)})))[0].remaining, 8u) << "all or nothing";
}

// LimitService over a memory that is full.
TEST_F(MemoryLimits, AtTheBoundOnlyAKeyThatFindsNoRoomIsDecidedByItsPolicy) {
  make(4u << 20);
  Ask known{.check = check_of("known", 2, 1h), .on_failure = OnFailure::kOpen};
  must(take(known.check));
  for (int i = 0; limiter->stats().refused_full < 10'000; ++i) (void)take(check_of(key_of_20_bytes(i), 10, 1h));
  LimitService service(*limiter, *limiter, clock);
  auto fresh = [](const char* key, OnFailure on_failure) { return Ask{.check = check_of(key, 10, 1h), .on_failure = on_failure}; };
  auto ask = [&](std::vector<Ask> asks) { return must(run(service.take(std::move(asks)))); };

  auto closed = ask({known, fresh("new", OnFailure::kOpen), fresh("other", OnFailure::kClosed)});
  EXPECT_TRUE(closed.decisions[0].is_allowed && closed.decisions[1].is_allowed);
  EXPECT_FALSE(closed.decisions[2].is_allowed);
  EXPECT_EQ(closed.decisions[0].remaining, 1u) << "nothing is taken where one is refused";

  auto passed = ask({fresh("new", OnFailure::kOpen), known, fresh("other", OnFailure::kOpen)});
  EXPECT_TRUE(passed.is_allowed());
  EXPECT_TRUE(passed.is_degraded);
  EXPECT_EQ(passed.decisions[1].remaining, 0u) << "it is taken";

  auto refused = ask({fresh("new", OnFailure::kOpen), known});
  EXPECT_TRUE(refused.decisions[0].is_allowed);
  EXPECT_FALSE(refused.decisions[1].is_allowed);
  EXPECT_EQ(refused.decisions[1].retry_after, 1h);
  EXPECT_FALSE(ask({known, fresh("new", OnFailure::kOpen)}).is_allowed());
  EXPECT_FALSE(ask({fresh("new", OnFailure::kLocal)}).is_allowed());
}

TEST_F(MemoryLimits, AtTheBoundExpiredKeysMakeRoomAtOnce) {
  make(4u << 20);
  int known = 0;
  while (take(check_of(key_of_20_bytes(known), 10, 1s))) ++known;
  clock.advance(1s);
  int refused = 0;
  for (int i = 0; i < known * 9 / 10; ++i) refused += take(check_of("new" + key_of_20_bytes(i), 10, 1s)) ? 0 : 1;
  EXPECT_LE(refused, known / 20) << "only where a shard had few that expired";
  clean_all();
  EXPECT_TRUE(take(check_of("another", 10, 1s)));
}

TEST_F(MemoryLimits, AtTheBoundAPlaceThatAnExpiredKeyLeavesIsTaken) {
  make(4u << 20);
  for (int i = 0; limiter->stats().refused_full < 10'000; ++i) (void)take(check_of(key_of_20_bytes(i), 10, i % 2 == 0 ? 1h : 1s));
  clock.advance(500ms);
  for (int i = 0; i < 10'000; i += 2) (void)take(check_of(key_of_20_bytes(i), 10, 1h));  // more than new keys may take
  clock.advance(500ms);
  int known = 0;
  for (int i = 0; i < 10'000; ++i) known += take(check_of("new" + key_of_20_bytes(i), 10, 1h)) ? 1 : 0;
  EXPECT_GT(known, 9'000);
}

TEST_F(MemoryLimits, AfterARefusalTheCleanerLooksThroughAllAtOnce) {
  make(24u << 20);
  int known = 0;
  while (take(check_of(key_of_20_bytes(known), 10, 1s))) ++known;
  ASSERT_GT(known, 100'000);
  clock.advance(1s);
  int steps = 1;
  while (must(limiter->clean())) ++steps;
  EXPECT_GT(steps, 3);
  EXPECT_EQ(limiter->stats().keys, 0u);
  EXPECT_FALSE(must(limiter->clean()));
}

TEST_F(MemoryLimits, LogsThatGrowStayUnderTheBoundToo) {
  make(4u << 20);
  std::uint64_t refused = 0;
  for (int i = 0; i < 400'000; ++i) {
    clock.advance(1us);
    auto decision = take(check_of("k" + std::to_string(i % 50), 10'000, 1h));
    refused += decision ? 0 : 1;
    if (decision) ASSERT_TRUE(decision->is_allowed);
  }
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(limiter->stats().keys, 50u);
  clock.advance(1h);
  EXPECT_TRUE(take(check_of("k1", 10'000, 1h))->is_allowed);
}

TEST_F(MemoryLimits, ALogOfTheLargestLimitIsSmall) {
  make(8u << 20, 1'000);
  for (int i = 0; i < 200'000; ++i) {
    clock.advance(15s);
    ASSERT_TRUE(take(check_of("k", kLimitMax, kWindowMax))->is_allowed);
  }
  EXPECT_LE(limiter->stats().bytes, 100'000u);
}

TEST_F(MemoryLimits, ManyThreadsKeepTheCountsRight) {
  make(64u << 20);
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  std::atomic<bool> is_over{false};
  std::thread cleaner([&] {
    while (!is_over) {
      must(limiter->clean());
      clock.advance(1ms);
    }
  });
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20'000; ++i) {
        std::vector<Check> checks = {check_of("hot", 5'000, 30 * 24h)};
        std::size_t more = random() % 4;
        for (std::size_t j = 0; j < more; ++j) {
          checks.push_back(check_of("k" + std::to_string(random() % 20'000), 1'000, std::chrono::milliseconds(1 + random() % 5),
                                    kAlgorithms[random() % 3]));
        }
        std::ranges::shuffle(checks, random);
        auto decisions = must(run(limiter->take(checks)));
        admitted += std::ranges::all_of(decisions, &Decision::is_allowed) ? 1 : 0;
        if (i % 100 == 0) must(run(limiter->refund(checks[0].key == "hot" ? checks.back() : checks[0])));
        if (i % 100 == 0 && checks.back().key == "hot" && checks[0].key == "hot") --admitted;  // it was given back
      }
    });
  }
  for (auto& thread : threads) thread.join();
  is_over = true;
  cleaner.join();
  EXPECT_EQ(must(run(limiter->peek({check_of("hot", 5'000, 30 * 24h)})))[0].remaining, static_cast<unsigned>(5'000 - admitted));
  clock.advance(1h);
  clean_all();
  EXPECT_EQ(limiter->stats().keys, 1u);
}

TEST_F(MemoryLimits, StepsOfTheWallClockChangeNothing) {
  make(4u << 20);
  for (Algorithm algorithm : kAlgorithms) {
    EXPECT_TRUE(take(check_of("k", 1, 1h, algorithm))->is_allowed);
    for (auto step : {24h * 400, -24h * 800, 24h * 400}) {
      clock.step_wall(step);
      auto refused = take(check_of("k", 1, 1h, algorithm));
      EXPECT_FALSE(refused->is_allowed);
      EXPECT_LE(*refused->retry_after, 1h);
      EXPECT_EQ(refused->reset, clock.now() + *refused->retry_after) << "which the client compares with its own clock";
    }
  }
}

// Each reading of the wall clock is a bit later than the one before, as on a machine that runs.
class RunningClock final : public Clock {
 public:
  UtcMicros now() const override { return base.now() + 7us * ++readings_; }
  std::chrono::steady_clock::time_point steady() const override { return base.steady(); }
  std::chrono::microseconds boot() const override { return base.boot() + 7us * ++readings_; }

  SimulatedClock base;

 private:
  mutable std::atomic<int> readings_{0};
};

TEST(MemoryLimitsByTheWallClock, AFixedWindowEndsAtAMultipleOfItsLength) {
  RunningClock clock;
  MemoryLimiter limiter(clock, {.cleans_itself = false});
  Check check = check_of("k", 2, 60s, Algorithm::kFixedWindow);
  auto ends_at = [&](Result<std::vector<Decision>> decisions) { return must(std::move(decisions)).front().reset.time_since_epoch() % 60s; };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ends_at(run(limiter.take({check}))), 0us);  // the last is refused
  EXPECT_EQ(ends_at(run(limiter.peek({check}))), 0us);
  EXPECT_EQ(must(run(limiter.refund(check))).reset.time_since_epoch() % 60s, 0us);
  clock.base.step_wall(24h + 5s);
  auto stepped = ends_at(run(limiter.take({check})));
  EXPECT_GE(stepped, 5s);
  EXPECT_LT(stepped, 5s + 1ms);
}

}  // namespace
}  // namespace hearth::limits
