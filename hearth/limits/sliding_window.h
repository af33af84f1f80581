#pragma once

// The sliding window: never more than `limit` in any window, and nothing refused that fits.
//
// A log of what was admitted and when, as pairs of a time and the cost at that time, with a running sum. An admission at t
// leaves at t + window, to the microsecond. So that the log of a large limit stays small, its times are rounded up to ticks: a
// place may then become free up to a tick late, never early. So there are at most about 2 × exact_entries_max pairs: those that
// a smaller limit left, and the ticks of a larger one.
//
// Pure: time comes in, in microseconds of the caller's clock, and never goes back. Not thread-safe.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/limits/limit.h"

namespace hearth::limits {

inline constexpr std::size_t kExactEntriesMax = 10'000;

// To what the times of a log are rounded up; 0 where a log without rounding has at most `exact_entries_max` pairs anyway.
std::chrono::microseconds log_tick(std::uint64_t limit, std::chrono::milliseconds window, std::size_t exact_entries_max);

class SlidingWindow {
 public:
  SlidingWindow() = default;
  SlidingWindow(SlidingWindow&& other) noexcept;
  SlidingWindow& operator=(SlidingWindow&& other) noexcept;
  ~SlidingWindow();

  // Decision::reset is in the time of `now`. `tick` is that of log_tick().
  Decision peek(const Check& check, std::chrono::microseconds tick, UtcMicros now);
  Decision take(const Check& check, std::chrono::microseconds tick, UtcMicros now);
  // Takes back up to `cost` of what is there, the oldest first; says how much that was.
  std::uint64_t refund(std::uint64_t cost, std::chrono::milliseconds window, UtcMicros now);
  // Takes back what the last take() of `cost` admitted. REQUIRES: nothing was given back since.
  void undo(std::uint64_t cost);
  bool is_empty(std::chrono::milliseconds window, UtcMicros now);

  // What take() admitted, in the order in which it did: for those who read it from a log.
  void add(UtcMicros at, std::uint64_t cost);
  // When the newest admission counts: what take() made of its `now`. 1970 when empty.
  UtcMicros newest() const;

  // The oldest admission that counts, and what of it; 1970 and 0 when empty.
  UtcMicros oldest_at() const;
  std::uint64_t oldest_cost() const;
  // What refunds left, for those who read it from a log: nothing before `at`, and no more than `cost` at it; 0: nothing at all.
  void keep_from(UtcMicros at, std::uint64_t cost);

  // About 3 to 8 bytes a pair.
  void encode(std::string& out) const;
  // Takes what encode() wrote from the front of `in`; kInternal if it wrote no such thing.
  static Result<SlidingWindow> decode(std::string_view& in);

  // On the heap; and how much more there may be during and after the next add().
  std::size_t heap_bytes() const;
  std::size_t growth_bytes() const;
  std::size_t pairs() const;

 private:
  struct [[gnu::packed]] Pair {
    std::int64_t at = 0;
    std::uint32_t cost = 0;
  };
  struct Log;  // a ring of pairs, the oldest first

  void drop_left(std::int64_t window, std::int64_t now);
  void drop_oldest();
  void fit_log();
  void take_from_oldest(std::uint32_t cost);
  void take_from_newest(std::uint32_t cost);
  void push_log(Pair pair);
  void resize_log(std::uint32_t capacity);
  Pair oldest() const;
  // When the cost of all but `room` of the limit has left.
  std::int64_t leaves_for(std::uint64_t used_max, std::int64_t window, std::int64_t now) const;

  // Most keys have one pair: no heap for it. newest_.cost is 0 when nothing is taken.
  Pair newest_;
  std::uint32_t sum_ = 0;
  Log* log_ = nullptr;  // those before the newest; null when there are none
};
static_assert(kLimitMax <= UINT32_MAX, "costs are summed in 32 bits");

}  // namespace hearth::limits
