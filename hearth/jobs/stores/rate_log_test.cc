#include "hearth/jobs/stores/rate_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

namespace hearth::jobs {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr UtcMicros kStart{seconds(1'700'000'000)};
constexpr TypeSettings::Rate kRate{.count = 10, .window = seconds(60)};

// Starts as many as wanted and allowed; returns how many.
std::size_t start(std::string& state, UtcMicros now, std::size_t wanted, TypeSettings::Rate rate = kRate) {
  RateLog log(rate, state, now);
  std::size_t starts = std::min(wanted, log.free());
  log.add(starts);
  state = log.state();
  return starts;
}

TEST(RateLog, AllowsABurstAndThenNothingUntilTheWindowIsOver) {
  std::string state;
  EXPECT_EQ(start(state, kStart, 4), 4u);
  EXPECT_EQ(start(state, kStart + seconds(30), 100), 6u);
  RateLog full(kRate, state, kStart + seconds(31));
  EXPECT_EQ(full.free(), 0u);
  EXPECT_GE(full.next_free(), kStart + seconds(60));
  EXPECT_LE(full.next_free(), kStart + seconds(61)) << "a hundredth later at most";
  EXPECT_EQ(start(state, full.next_free() - microseconds(1), 100), 0u);
  EXPECT_EQ(start(state, full.next_free(), 100), 4u) << "those of the first burst";
}

TEST(RateLog, NoWindowHasMoreStartsThanTheLimitWhereverItBegins) {
  std::uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    TypeSettings::Rate rate{.count = static_cast<int>(1 + random() % 20), .window = milliseconds(1 + random() % 5'000)};
    std::string state;
    std::vector<std::pair<UtcMicros, std::size_t>> starts;
    UtcMicros now = kStart + microseconds(random() % 1'000'000);
    for (int step = 0; step < 300; ++step) {
      now += microseconds(random() % static_cast<std::uint64_t>(microseconds(rate.window).count() / (1 + random() % 100) + 1));
      starts.emplace_back(now, start(state, now, random() % 8, rate));
      EXPECT_LE(std::ranges::count(state, ','), 102);
      std::size_t in_window = 0;
      for (const auto& [at, count] : starts) in_window += at > now - rate.window ? count : 0;
      ASSERT_LE(in_window, static_cast<std::size_t>(rate.count));
    }
  }
}

TEST(RateLog, AClockThatWasSetBackBlocksForAWindowAtMost) {
  std::string state;
  EXPECT_EQ(start(state, kStart, 10), 10u);
  UtcMicros now = kStart - std::chrono::hours(24);
  EXPECT_EQ(start(state, now, 10), 0u);
  EXPECT_LE(RateLog(kRate, state, now).next_free(), now + seconds(61));
}

TEST(RateLog, ALoweredLimitWaitsUntilEnoughStartsAreOver) {
  std::string state;
  start(state, kStart, 5);
  start(state, kStart + seconds(20), 5);
  RateLog lowered({.count = 3, .window = seconds(60)}, state, kStart + seconds(21));
  EXPECT_EQ(lowered.free(), 0u);
  EXPECT_GE(lowered.next_free(), kStart + seconds(80));
}

TEST(RateLog, WhatItDidNotWriteItSurvives) {
  for (const char* state : {"", "x", ":::", "12", "12:", "a:b,", "99999999999999999999999:1,"}) {
    RateLog log(kRate, state, kStart);
    EXPECT_LE(log.free(), 10u) << state;
  }
}

}  // namespace
}  // namespace hearth::jobs
