#pragma once

// For tests that run on several limiters.

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <utility>

#include "hearth/base/clock.h"
#include "hearth/limits/limiter.h"
#include "hearth/outbox/test_loops.h"

namespace hearth::limits {

using outbox::must;
using outbox::run;

// A limiter whose time moves only when told to.
class LimiterUnderTest {
 public:
  virtual ~LimiterUnderTest() = default;
  virtual Limiter& limiter() = 0;
  // The store's time, by which windows of kFixedWindow and ticks are counted.
  virtual UtcMicros now() = 0;
  virtual void advance(std::chrono::microseconds by) = 0;
  // Another process with the same store, after this one has ended in order. False: what it admits dies with it.
  virtual bool restart() { return false; }
};

struct LimiterMaker {
  std::string name;
  // Fresh and empty, at a time of 2023 or later.
  std::function<std::unique_ptr<LimiterUnderTest>(std::size_t exact_entries_max)> make;
};

inline std::string name_of_limiter(const testing::TestParamInfo<LimiterMaker>& info) {
  return info.param.name;
}
inline void PrintTo(const LimiterMaker& maker, std::ostream* out) {
  *out << maker.name;
}

inline constexpr Algorithm kAlgorithms[] = {Algorithm::kSlidingWindow, Algorithm::kGcra, Algorithm::kFixedWindow};

inline Check check_of(std::string key, std::uint64_t limit, std::chrono::milliseconds window,
                      Algorithm algorithm = Algorithm::kSlidingWindow, std::uint64_t cost = 1) {
  return {.key = std::move(key), .limit = limit, .window = window, .algorithm = algorithm, .cost = cost};
}

// Another one each time; to repeat a run, give the seed that it printed as --gtest_random_seed.
inline std::uint64_t fresh_limiter_seed() {
  int wanted = testing::UnitTest::GetInstance()->random_seed();
  return wanted != 0 ? static_cast<std::uint64_t>(wanted) : std::random_device()() % 100'000;
}

}  // namespace hearth::limits
