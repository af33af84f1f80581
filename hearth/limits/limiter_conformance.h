#pragma once

// What every Limiter promises (limiter.h), as tests. Instantiated in one .cc a binary.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "hearth/base/ids.h"
#include "hearth/limits/limiter.h"
#include "hearth/limits/limiter_model.h"
#include "hearth/limits/limiter_under_test.h"
#include "hearth/outbox/test_loops.h"

namespace hearth::limits {

class LimiterConformance : public testing::TestWithParam<LimiterMaker> {
 protected:
  using Millis = std::chrono::milliseconds;
  using Micros = std::chrono::microseconds;

  void make(std::size_t exact_entries_max) { under_test = GetParam().make(exact_entries_max); }

  std::vector<Decision> take_all(std::vector<Check> checks) { return must(run(under_test->limiter().take(std::move(checks)))); }
  std::vector<Decision> peek_all(std::vector<Check> checks) { return must(run(under_test->limiter().peek(std::move(checks)))); }
  Decision take(Check check) { return take_all({std::move(check)}).front(); }
  Decision peek(Check check) { return peek_all({std::move(check)}).front(); }
  Decision refund(Check check) { return must(run(under_test->limiter().refund(std::move(check)))); }
  void advance(Micros by) { under_test->advance(by); }
  // To where a window of kFixedWindow begins.
  void align(Micros window) { advance(window - under_test->now().time_since_epoch() % window); }

  // How many of `tries` were allowed.
  int admitted(const Check& check, int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) count += take(check).is_allowed ? 1 : 0;
    return count;
  }

  std::unique_ptr<LimiterUnderTest> under_test = GetParam().make(kExactEntriesMax);
};

// --- one limit ---

TEST_P(LimiterConformance, OutOf150AtALimitOf100ExactlyThe100FirstPass) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(60'000));
    Check check = check_of("k", 100, Millis(60'000), algorithm);
    for (std::uint64_t i = 0; i < 150; ++i) {
      Decision decision = take(check);
      EXPECT_EQ(decision.is_allowed, i < 100);
      EXPECT_EQ(decision.limit, 100u);
      EXPECT_EQ(decision.remaining, i < 100 ? 99 - i : 0);
      EXPECT_EQ(decision.retry_after.has_value(), i >= 100);
      EXPECT_EQ(decision.tick.count(), 0);
    }
  }
}

TEST_P(LimiterConformance, AnUntouchedKeyHasAllOfItsLimitNow) {
  for (Algorithm algorithm : kAlgorithms) {
    Decision decision = peek(check_of("untouched", 7, Millis(1'000), algorithm, 7));
    EXPECT_TRUE(decision.is_allowed);
    EXPECT_EQ(decision.remaining, 7u);
    EXPECT_EQ(decision.reset, under_test->now());
  }
}

TEST_P(LimiterConformance, AnAdmissionLeavesAfterExactlyItsWindow) {
  Check check = check_of("k", 1, Millis(1'000));
  EXPECT_TRUE(take(check).is_allowed);
  advance(Micros(999'999));
  Decision refused = take(check);
  EXPECT_FALSE(refused.is_allowed);
  EXPECT_EQ(refused.retry_after, Micros(1));
  advance(Micros(1));
  EXPECT_TRUE(take(check).is_allowed);
}

TEST_P(LimiterConformance, WhoWaitsUntilResetIsAdmittedAndNotBefore) {
  for (Algorithm algorithm : kAlgorithms) {
    for (Micros rounding : {Micros(1), Micros(1'000), Micros(1'000'000)}) {
      Check check = check_of("reset" + std::to_string(rounding.count()), 5, Millis(700), algorithm);
      advance(Micros(123'456));
      for (int i = 0; i < 3; ++i) take(check), advance(Micros(10'001));
      check.cost = 4;
      Decision refused = take(check);
      ASSERT_FALSE(refused.is_allowed);
      ASSERT_TRUE(refused.retry_after.has_value());
      EXPECT_EQ(refused.reset - under_test->now(), *refused.retry_after);
      if (rounding == Micros(1)) {
        advance(*refused.retry_after - Micros(1));
        EXPECT_FALSE(peek(check).is_allowed);
        advance(Micros(1));
      } else {
        advance((*refused.retry_after + rounding - Micros(1)) / rounding * rounding);
      }
      EXPECT_TRUE(take(check).is_allowed) << name_of(algorithm) << " rounded up to " << rounding.count() << " µs";
    }
  }
}

TEST_P(LimiterConformance, AllowedItSaysWhenTheNextPlaceBecomesFree) {
  Check check = check_of("k", 3, Millis(1'000));
  auto began = under_test->now();
  EXPECT_EQ(take(check).reset, began + Millis(1'000));
  advance(Millis(400));
  Decision second = take(check);
  EXPECT_EQ(second.reset, began + Millis(1'000));
  EXPECT_EQ(second.remaining, 1u);
  advance(Millis(600));
  Decision seen = peek(check);
  EXPECT_EQ(seen.remaining, 2u);
  EXPECT_EQ(seen.reset, began + Millis(1'400));
}

TEST_P(LimiterConformance, ACostTakesThatManyPlaces) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(1'000));
    Check check = check_of("cost", 10, Millis(1'000), algorithm, 4);
    EXPECT_EQ(take(check).remaining, 6u);
    EXPECT_EQ(take(check).remaining, 2u);
    EXPECT_FALSE(take(check).is_allowed);
    check.cost = 2;
    EXPECT_EQ(take(check).remaining, 0u);
    check.cost = 10;
    Decision refused = take(check);
    EXPECT_FALSE(refused.is_allowed);
    EXPECT_EQ(refused.retry_after, Micros(1'000'000)) << name_of(algorithm);
  }
}

TEST_P(LimiterConformance, ACostIsRefusedUntilEnoughOfTheOldestHaveLeft) {
  Check check = check_of("k", 10, Millis(1'000));
  auto began = under_test->now();
  for (int i = 0; i < 10; ++i) take(check), advance(Millis(10));
  check.cost = 3;
  Decision refused = take(check);
  EXPECT_FALSE(refused.is_allowed);
  EXPECT_EQ(refused.remaining, 0u);
  EXPECT_EQ(refused.reset, began + Millis(1'020));  // when the third has left
}

TEST_P(LimiterConformance, KeysAlgorithmsAndWindowsAreApart) {
  EXPECT_TRUE(take(check_of("a:b", 1, Millis(1'000))).is_allowed);
  EXPECT_TRUE(take(check_of("a:b%", 1, Millis(1'000))).is_allowed);
  EXPECT_TRUE(take(check_of("a", 1, Millis(1'000))).is_allowed);
  EXPECT_TRUE(take(check_of("a:b:1000", 1, Millis(1'000))).is_allowed);
  EXPECT_TRUE(take(check_of("a:b", 1, Millis(1'001))).is_allowed);
  EXPECT_TRUE(take(check_of("a:b", 1, Millis(1'000), Algorithm::kGcra)).is_allowed);
  EXPECT_TRUE(take(check_of("a:b", 1, Millis(1'000), Algorithm::kFixedWindow)).is_allowed);
  EXPECT_TRUE(take(check_of(std::string(kIdBytesMax, 'k'), 1, Millis(1'000))).is_allowed);
  EXPECT_FALSE(take(check_of("a:b", 1, Millis(1'000))).is_allowed);
  EXPECT_FALSE(take(check_of(std::string(kIdBytesMax, 'k'), 1, Millis(1'000))).is_allowed);
}

TEST_P(LimiterConformance, ALimitMayChangeFromOneCheckToTheNext) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(1'000));
    EXPECT_EQ(admitted(check_of("k", 4, Millis(1'000), algorithm), 6), 4);
    EXPECT_EQ(peek(check_of("k", 2, Millis(1'000), algorithm)).remaining, 0u);
    Decision raised = peek(check_of("k", 8, Millis(1'000), algorithm));
    EXPECT_EQ(raised.is_allowed, algorithm != Algorithm::kGcra) << name_of(algorithm);  // there it is the share that is taken
    advance(Millis(500));
    if (algorithm == Algorithm::kGcra) EXPECT_EQ(peek(check_of("k", 8, Millis(1'000), algorithm)).remaining, 4u);
    if (algorithm != Algorithm::kGcra) EXPECT_EQ(admitted(check_of("k", 8, Millis(1'000), algorithm), 8), 4);
  }
}

TEST_P(LimiterConformance, ALoweredLimitSaysWhenAPlaceBecomesFreeUnderIt) {
  auto began = under_test->now();
  for (int i = 0; i < 5; ++i) take(check_of("k", 5, Millis(1'000))), advance(Millis(100));
  Decision refused = take(check_of("k", 2, Millis(1'000)));
  EXPECT_FALSE(refused.is_allowed);
  EXPECT_EQ(refused.reset, began + Millis(1'300));  // when only the fifth is left
}

// --- several at once ---

TEST_P(LimiterConformance, SeveralChecksAreAdmittedAllOrNone) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(1'000));
    Check wide = check_of("wide", 5, Millis(1'000), algorithm);
    Check narrow = check_of("narrow", 1, Millis(1'000), algorithm);
    auto first = take_all({wide, narrow});
    EXPECT_TRUE(first[0].is_allowed && first[1].is_allowed);
    EXPECT_EQ(first[0].remaining, 4u);
    auto second = take_all({wide, narrow});
    EXPECT_TRUE(second[0].is_allowed);
    EXPECT_FALSE(second[0].retry_after.has_value());
    EXPECT_EQ(second[0].remaining, 4u) << "as a peek would";
    EXPECT_FALSE(second[1].is_allowed);
    auto turned = take_all({narrow, wide});
    EXPECT_FALSE(turned[0].is_allowed);
    EXPECT_TRUE(turned[1].is_allowed);
    EXPECT_EQ(peek(wide).remaining, 4u);
  }
}

TEST_P(LimiterConformance, AKeyMayBeAskedForTwiceInOneRequest) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(1'000));
    Check check = check_of("twice", 3, Millis(1'000), algorithm);
    auto both = take_all({check, check});
    EXPECT_EQ(both[0].remaining, 2u);
    EXPECT_EQ(both[1].remaining, 1u);
    both = take_all({check, check});
    EXPECT_TRUE(both[0].is_allowed);
    EXPECT_FALSE(both[1].is_allowed);
    EXPECT_EQ(peek(check).remaining, 1u) << "nothing was taken";
  }
}

TEST_P(LimiterConformance, ManyWindowsOfOneKeyAtOnce) {
  std::vector<Check> checks;
  for (std::size_t i = 0; i < kChecksMax; ++i) checks.push_back(check_of("k", 100 - i, Millis(60'000 + i), kAlgorithms[i % 3]));
  int rounds = 0;
  while (std::ranges::all_of(take_all(checks), &Decision::is_allowed)) ++rounds;
  EXPECT_EQ(rounds, 81);
  for (std::size_t i = 0; i < kChecksMax; ++i) EXPECT_EQ(peek(checks[i]).remaining, 19 - i) << i;
}

// --- looking, and giving back ---

TEST_P(LimiterConformance, APeekChangesNothing) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(1'000));
    Check check = check_of("k", 3, Millis(1'000), algorithm, 2);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(peek(check).remaining, 3u);
    take(check);
    Decision before = peek(check);
    EXPECT_FALSE(before.is_allowed);
    EXPECT_EQ(before.remaining, 1u);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(peek(check), before);
  }
}

TEST_P(LimiterConformance, ARefundGivesBackTheOldestFirst) {
  auto began = under_test->now();
  Check check = check_of("k", 10, Millis(1'000));
  take(check_of("k", 10, Millis(1'000), Algorithm::kSlidingWindow, 3));
  advance(Millis(100));
  take(check_of("k", 10, Millis(1'000), Algorithm::kSlidingWindow, 4));
  Decision after = refund(check_of("k", 10, Millis(1'000), Algorithm::kSlidingWindow, 5));
  EXPECT_TRUE(after.is_allowed);
  EXPECT_EQ(after.remaining, 8u);
  EXPECT_EQ(after.reset, began + Millis(1'100));
  advance(Millis(900));
  EXPECT_EQ(peek(check).remaining, 8u);
  advance(Millis(100));
  EXPECT_EQ(peek(check).remaining, 10u);
}

TEST_P(LimiterConformance, WhatIsRefundedFreesNoPlaceOfOneThatStays) {
  Check check = check_of("k", 2, Millis(4'000));
  take(check);
  advance(Millis(3'600));
  take(check);
  refund(check);  // of the first
  advance(Millis(450));
  EXPECT_EQ(admitted(check, 5), 1);
}

// Takes less refunds never exceed the limit in any window, whichever admission within the window each refund was meant for.
TEST_P(LimiterConformance, WithRefundsNoWindowHoldsMoreThanTheLimit) {
  auto seed = fresh_limiter_seed();
  SCOPED_TRACE("--gtest_random_seed=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (std::uint64_t limit : {2u, 7u, 40u}) {
    auto window = Micros(Millis(10 + random() % 50)).count();
    Check check = check_of("k" + std::to_string(limit), limit, Millis(window / 1'000));
    std::deque<std::pair<std::int64_t, std::uint64_t>> kept;  // within the window, without what was meant to be given back
    for (int i = 0; i < 600; ++i) {
      advance(Micros(random() % (2 * static_cast<std::uint64_t>(window) / limit)));
      if (random() % 40 == 0) under_test->restart();
      auto now = under_test->now().time_since_epoch().count();
      while (!kept.empty() && kept.front().first + window <= now) kept.pop_front();
      if (random() % 3 == 0 && !kept.empty()) {
        auto meant = kept.begin() + static_cast<std::ptrdiff_t>(random() % kept.size());
        check.cost = 1 + random() % meant->second;
        refund(check);
        meant->second -= check.cost;
        if (meant->second == 0) kept.erase(meant);
        continue;
      }
      check.cost = 1 + (random() % 3 == 0 ? random() % limit : 0);
      if (!take(check).is_allowed) continue;
      kept.emplace_back(now, check.cost);
      std::uint64_t sum = 0;
      for (auto [at, cost] : kept) sum += cost;
      ASSERT_LE(sum, limit) << "in the window up to step " << i;
    }
  }
}

TEST_P(LimiterConformance, WhatWasNotTakenIsNotGivenBack) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(1'000));
    Check all = check_of("k", 5, Millis(1'000), algorithm, 5);
    EXPECT_EQ(refund(all).remaining, 5u);
    take(check_of("k", 5, Millis(1'000), algorithm, 2));
    EXPECT_EQ(refund(all).remaining, 5u);
    EXPECT_EQ(refund(all).remaining, 5u);
    EXPECT_EQ(admitted(check_of("k", 5, Millis(1'000), algorithm), 9), 5);
    advance(Millis(1'000));
    EXPECT_EQ(refund(all).remaining, 5u);
    EXPECT_EQ(admitted(check_of("k", 5, Millis(1'000), algorithm), 9), 5) << "what has left is not given again";
  }
}

// --- what is special to each ---

TEST_P(LimiterConformance, GcraLetsABurstPassAndThenOneAtATime) {
  Check check = check_of("k", 4, Millis(1'000), Algorithm::kGcra);
  EXPECT_EQ(admitted(check, 9), 4);
  for (int i = 0; i < 8; ++i) {
    Decision refused = take(check);
    EXPECT_EQ(refused.retry_after, Micros(250'000));
    advance(Micros(250'000));
    EXPECT_EQ(admitted(check, 3), 1);
  }
}

TEST_P(LimiterConformance, GcraDoesNotDrift) {
  Check check = check_of("k", 3, Millis(1'000), Algorithm::kGcra);  // one each 333,333 1/3 µs
  EXPECT_EQ(admitted(check, 4), 3);
  auto began = under_test->now();
  for (int i = 1; i <= 300; ++i) {
    Decision refused = take(check);
    ASSERT_FALSE(refused.is_allowed);
    EXPECT_EQ(refused.reset - began, Micros((i * 1'000'000 + 2) / 3)) << i;
    advance(*refused.retry_after);
    ASSERT_TRUE(take(check).is_allowed);
  }
}

TEST_P(LimiterConformance, FixedWindowsBeginAtMultiplesOfTheirLength) {
  align(Millis(60'000));
  auto began = under_test->now();
  advance(Millis(59'000));
  Check check = check_of("k", 5, Millis(60'000), Algorithm::kFixedWindow);
  EXPECT_EQ(admitted(check, 9), 5);
  Decision refused = take(check);
  EXPECT_EQ(refused.reset, began + Millis(60'000));
  EXPECT_EQ(refused.retry_after, Micros(1'000'000));
  advance(Millis(1'000));
  EXPECT_EQ(admitted(check, 9), 5);
}

TEST_P(LimiterConformance, TheLargestLimitsAndWindowsAreCounted) {
  for (Algorithm algorithm : kAlgorithms) {
    Check all = check_of("k", kLimitMax, kWindowMax, algorithm, kLimitMax);
    align(kWindowMax);
    EXPECT_TRUE(take(all).is_allowed) << name_of(algorithm);
    EXPECT_EQ(peek(all).remaining, 0u);
    EXPECT_FALSE(take(check_of("k", kLimitMax, kWindowMax, algorithm)).is_allowed);
    Decision refused = take(all);
    ASSERT_FALSE(refused.is_allowed);
    EXPECT_GE(*refused.retry_after, Micros(kWindowMax));
    EXPECT_LE(*refused.retry_after, Micros(kWindowMax) + refused.tick + Micros(1));
    advance(*refused.retry_after);
    EXPECT_TRUE(take(all).is_allowed) << name_of(algorithm);
  }
}

TEST_P(LimiterConformance, ALargeLimitIsNeverExceededAndSaysItsTick) {
  make(10);
  Check check = check_of("k", 1'000, Millis(100));
  std::deque<std::pair<std::int64_t, std::uint64_t>> taken;
  std::mt19937_64 random(fresh_limiter_seed());
  for (int i = 0; i < 500; ++i) {
    advance(Micros(random() % 8'000));
    check.cost = 1 + random() % 300;
    auto now = under_test->now().time_since_epoch().count();
    Decision decision = take(check);
    EXPECT_EQ(decision.tick, Micros(10'000));
    std::uint64_t exact = 0;
    std::uint64_t within_a_tick = 0;
    for (auto [at, cost] : taken) {
      exact += at + 100'000 > now ? cost : 0;
      within_a_tick += at + 110'000 > now ? cost : 0;
    }
    if (decision.is_allowed) EXPECT_LE(exact + check.cost, 1'000u);
    if (!decision.is_allowed) EXPECT_GT(within_a_tick + check.cost, 1'000u) << "it would have fitted a tick ago";
    if (decision.is_allowed) taken.emplace_back(now, check.cost);
  }
}

// --- by chance ---

// No window holds more than the limit, and each refusal was necessary: by counting again, over each window that ends with an
// admission.
TEST_P(LimiterConformance, NoWindowHoldsMoreThanTheLimitAndNoRefusalIsNeedless) {
  auto seed = fresh_limiter_seed();
  SCOPED_TRACE("--gtest_random_seed=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (std::uint64_t limit : {1u, 2u, 7u, 40u}) {
    auto window = Millis(1 + random() % 50);
    Check check = check_of("k" + std::to_string(limit), limit, window);
    std::vector<std::pair<std::int64_t, std::uint64_t>> taken;
    auto in_window = [&](std::int64_t now) {
      std::uint64_t sum = 0;
      for (auto [at, cost] : taken) sum += at + Micros(window).count() > now && at <= now ? cost : 0;
      return sum;
    };
    for (int i = 0; i < 300; ++i) {
      advance(Micros(random() % (2 * Micros(window).count() / limit)));
      check.cost = 1 + (random() % 3 == 0 ? random() % limit : 0);
      auto now = under_test->now().time_since_epoch().count();
      if (take(check).is_allowed) {
        taken.emplace_back(now, check.cost);
      } else {
        EXPECT_GT(in_window(now) + check.cost, limit) << "refusal " << i << " was not necessary";
      }
    }
    for (auto [at, cost] : taken) EXPECT_LE(in_window(at), limit) << "in the window up to " << at;
  }
}

// All answers of random requests against the model's, under limits that change.
class LimiterModelRun {
 public:
  LimiterModelRun(LimiterUnderTest& under_test, std::size_t exact_entries_max, std::uint64_t seed)
      : under_test_(under_test), model_(exact_entries_max), random_(seed) {}

  void step() {
    advance();
    switch (pick(10)) {
      case 0:
        return refund();
      case 1:
        return compare(some(1 + pick(3)), false);
      case 2:
      case 3:
        return compare(some(2 + pick(3)), true);
      case 4:
        if (pick(10) == 0) under_test_.restart();
        return;
      default:
        return compare(some(1), true);
    }
  }

 private:
  std::size_t pick(std::size_t below) { return random_() % below; }

  void advance() {
    if (wait_ && pick(4) == 0) {
      under_test_.advance(*wait_ - std::chrono::microseconds(pick(2)));  // to the moment it said, or just before
    } else if (pick(3) != 0) {
      under_test_.advance(std::chrono::microseconds(pick(pick(10) == 0 ? 300'000 : 4'000)));
    }
    wait_.reset();
  }

  Check one() {
    static constexpr std::uint64_t kLimits[] = {1, 2, 3, 10, 40, 41, 1'000};
    static constexpr int kWindows[] = {1, 7, 100};
    Check check =
        check_of("key:" + std::to_string(pick(2)), kLimits[pick(7)], std::chrono::milliseconds(kWindows[pick(3)]), kAlgorithms[pick(3)]);
    if (pick(3) == 0) check.cost = 1 + pick(check.limit);
    return check;
  }
  std::vector<Check> some(std::size_t count) {
    std::vector<Check> checks;
    for (std::size_t i = 0; i < count; ++i) checks.push_back(one());
    return checks;
  }

  void compare(const std::vector<Check>& checks, bool takes) {
    auto now = under_test_.now();
    auto& limiter = under_test_.limiter();
    auto found = must(run(takes ? limiter.take(checks) : limiter.peek(checks)));
    std::vector<Decision> wanted;
    if (takes) wanted = model_.take(checks, now);
    for (const auto& check : checks) {
      if (!takes) wanted.push_back(model_.peek(check, now));
    }
    ASSERT_EQ(found, wanted) << (takes ? "take " : "peek ") << testing::PrintToString(checks);
    for (const auto& decision : found) {
      if (decision.retry_after) wait_ = decision.retry_after;
    }
  }

  void refund() {
    Check check = one();
    auto found = must(run(under_test_.limiter().refund(check)));
    ASSERT_EQ(found, model_.refund(check, under_test_.now())) << "refund " << testing::PrintToString(check);
  }

  LimiterUnderTest& under_test_;
  LimiterModel model_;
  std::mt19937_64 random_;
  std::optional<std::chrono::microseconds> wait_;
};

TEST_P(LimiterConformance, EveryAnswerIsThatOfTheModel) {
  auto seed = fresh_limiter_seed();
  for (std::size_t exact_entries_max : {kExactEntriesMax, std::size_t{40}, std::size_t{5}}) {
    SCOPED_TRACE(std::to_string(exact_entries_max) + " exact entries, --gtest_random_seed=" + std::to_string(seed));
    make(exact_entries_max);
    LimiterModelRun model(*under_test, exact_entries_max, seed);
    for (int i = 0; i < 2'000 && !HasFatalFailure(); ++i) model.step();
  }
}

// --- many callers, and another process ---

TEST_P(LimiterConformance, CallersAtTheSameTimeGetExactlyTheLimit) {
  for (Algorithm algorithm : kAlgorithms) {
    align(Millis(60'000));
    outbox::Loops loops(4);
    std::atomic<int> admitted{0};
    std::atomic<int> both{0};
    auto call = [](Limiter& limiter, std::vector<Check> checks, std::atomic<int>& count) -> Task<void> {
      for (int i = 0; i < 8; ++i) {
        auto decisions = must(co_await limiter.take(checks));
        if (std::ranges::all_of(decisions, &Decision::is_allowed)) ++count;
      }
    };
    Check hot = check_of("hot", 100, Millis(60'000), algorithm);
    Check a = check_of("a", 150, Millis(60'000), algorithm);
    Check b = check_of("b", 100, Millis(60'000), algorithm);
    for (std::size_t i = 0; i < 64; ++i) {
      loops.spawn(i, call(under_test->limiter(), {hot}, admitted));
      loops.spawn(i, call(under_test->limiter(), i % 2 == 0 ? std::vector<Check>{a, b} : std::vector<Check>{b, a}, both));
    }
    loops.run();
    EXPECT_EQ(admitted, 100) << name_of(algorithm);
    EXPECT_EQ(both, 100) << name_of(algorithm);
    EXPECT_EQ(peek(a).remaining, 50u) << "what was refused was not taken";
  }
}

TEST_P(LimiterConformance, AnotherProcessGoesOnWhereTheLastOneStopped) {
  std::vector<Check> checks;
  for (Algorithm algorithm : kAlgorithms) checks.push_back(check_of("k", 10, Millis(60'000), algorithm, 3));
  align(Millis(60'000));
  take_all(checks);
  advance(Millis(1'500));
  take_all(checks);
  refund(check_of("k", 10, Millis(60'000), Algorithm::kSlidingWindow, 1));
  auto before = peek_all(checks);
  if (!under_test->restart()) return;
  EXPECT_EQ(peek_all(checks), before);
  EXPECT_EQ(admitted(check_of("k", 10, Millis(60'000)), 9), 5);
}

}  // namespace hearth::limits
