// The algorithms alone: what the conformance tests of the stores cannot see.

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "hearth/limits/fixed_window.h"
#include "hearth/limits/gcra.h"
#include "hearth/limits/limiter_model.h"
#include "hearth/limits/sliding_window.h"

namespace hearth::limits {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;
using std::chrono::milliseconds;

const UtcMicros kStart{1'700'000'000s};

Check check_of(std::uint64_t limit, milliseconds window, std::uint64_t cost = 1) {
  return {.key = "k", .limit = limit, .window = window, .algorithm = Algorithm::kSlidingWindow, .cost = cost};
}

TEST(LogTick, IsNoneWhereALogStaysSmallAnyway) {
  EXPECT_EQ(log_tick(10'000, 30 * 24h, 10'000), 0us);
  EXPECT_EQ(log_tick(1'000'000, 10ms, 10'000), 0us) << "there are only 10,000 microseconds";
  EXPECT_EQ(log_tick(10'001, 1s, 10'000), 100us);
  EXPECT_EQ(log_tick(10'001, 10'001ms, 10'000), 1'001us);
  EXPECT_EQ(log_tick(kLimitMax, kWindowMax, 10'000), microseconds(kWindowMax) / 10'000);
}

TEST(SlidingWindow, WithOneAdmissionNeedsNoHeap) {
  EXPECT_LE(sizeof(SlidingWindow), 24u);
  SlidingWindow window;
  window.take(check_of(2, 1s), 0us, kStart);
  EXPECT_EQ(window.heap_bytes(), 0u);
  EXPECT_GT(window.growth_bytes(), 0u);
  window.take(check_of(2, 1s), 0us, kStart);
  EXPECT_EQ(window.pairs(), 1u) << "at the same time";
}

TEST(SlidingWindow, GivesItsHeapBackWhenAdmissionsHaveLeft) {
  SlidingWindow window;
  for (int i = 0; i < 1'000; ++i) window.take(check_of(1'000, 1s), 0us, kStart + microseconds(i));
  EXPECT_EQ(window.pairs(), 1'000u);
  auto full = window.heap_bytes();
  EXPECT_LE(full, 1'024u * 12 + 16);
  window.peek(check_of(1'000, 1s), 0us, kStart + 1s + 900us);
  EXPECT_EQ(window.pairs(), 99u);
  EXPECT_LT(window.heap_bytes(), full);
  window.peek(check_of(1'000, 1s), 0us, kStart + 1s + 998us);
  EXPECT_EQ(window.pairs(), 1u);
  EXPECT_EQ(window.heap_bytes(), 0u);
  EXPECT_TRUE(window.is_empty(1s, kStart + 1s + 999us));
}

TEST(SlidingWindow, ALargeLimitHasFewPairs) {
  SlidingWindow window;
  const milliseconds hour = 1h;
  auto now = kStart;
  auto tick = log_tick(1'000'000, hour, 100);
  for (int i = 0; i < 100'000; ++i) {
    window.take(check_of(1'000'000, hour), tick, now);
    now += 100ms;
  }
  EXPECT_LE(window.pairs(), 102u);
}

TEST(SlidingWindow, LimitsThatChangeAllTheTimeKeepTheLogBounded) {
  SlidingWindow window;
  std::mt19937_64 random(1);
  auto now = kStart;
  std::size_t most = 0;
  for (int i = 0; i < 200'000; ++i) {
    now += microseconds(random() % 2'000);
    std::uint64_t limit = random() % 2 == 0 ? 50 : 1'000'000;
    window.take(check_of(limit, 1s), log_tick(limit, 1s, 50), now);
    if (random() % 10 == 0) window.refund(1 + random() % 3, 1s, now);
    most = std::max(most, window.pairs());
  }
  EXPECT_LE(most, 2 * 50u + 3);
}

TEST(SlidingWindow, ARefundSaysHowMuchThereWas) {
  SlidingWindow window;
  EXPECT_EQ(window.refund(5, 1s, kStart), 0u);
  window.take(check_of(10, 1s, 3), 0us, kStart);
  window.take(check_of(10, 1s, 3), 0us, kStart + 1us);
  EXPECT_EQ(window.refund(4, 1s, kStart + 2us), 4u);
  EXPECT_EQ(window.refund(4, 1s, kStart + 2us), 2u);
  EXPECT_TRUE(window.is_empty(1s, kStart + 2us));
}

// What is encoded and read again gives the same answers.
template <typename State>
State reread(const State& state) {
  std::string bytes;
  state.encode(bytes);
  std::string longer = bytes + "rest";
  std::string_view in = longer;
  auto read = State::decode(in);
  EXPECT_TRUE(read) << read.error().message;
  EXPECT_EQ(in, "rest");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    std::string_view start = std::string_view(bytes).substr(0, cut);
    EXPECT_FALSE(State::decode(start)) << cut << " of " << bytes.size() << " bytes";
  }
  return std::move(*read);
}

TEST(Encoding, BringsEachStateBack) {
  SlidingWindow sliding;
  Gcra gcra;
  FixedWindow fixed;
  auto now = kStart;
  for (int i = 0; i < 30; ++i) {
    sliding.take(check_of(40, 1s, 1 + i % 3), 0us, now);
    gcra.take(check_of(7, 1s), now);
    fixed.take(check_of(40, 1s, 1 + i % 3), now);
    SlidingWindow sliding_again = reread(sliding);
    EXPECT_EQ(sliding_again.peek(check_of(40, 1s, 40), 0us, now), sliding.peek(check_of(40, 1s, 40), 0us, now));
    EXPECT_EQ(sliding_again.pairs(), sliding.pairs());
    EXPECT_EQ(reread(gcra).peek(check_of(7, 1s, 7), now), gcra.peek(check_of(7, 1s, 7), now));
    EXPECT_EQ(reread(fixed).peek(check_of(40, 1s, 40), now), fixed.peek(check_of(40, 1s, 40), now));
    now += 31ms;
  }
}

TEST(Encoding, NeverReadsNonsense) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 24, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() : random() % 8);
    std::string_view in = bytes;
    if (auto sliding = SlidingWindow::decode(in)) sliding->peek(check_of(5, 1s, 5), 0us, kStart);
    in = bytes;
    if (auto gcra = Gcra::decode(in)) gcra->peek(check_of(5, 1s, 5), kStart);
    in = bytes;
    if (auto fixed = FixedWindow::decode(in)) fixed->peek(check_of(5, 1s, 5), kStart);
  }
}

}  // namespace
}  // namespace hearth::limits
