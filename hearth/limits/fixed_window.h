#pragma once

// Fixed windows: `limit` in each window of the clock, so up to twice as many across the border of two. Windows begin at
// multiples of their length since 1970.
//
// Pure: time comes in, in microseconds of the caller's clock, and never goes back.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/limits/limit.h"

namespace hearth::limits {

class FixedWindow {
 public:
  // Decision::reset is in the time of `now`.
  Decision peek(const Check& check, UtcMicros now) const;
  Decision take(const Check& check, UtcMicros now);
  // Says whether there was anything to give back.
  bool refund(const Check& check, UtcMicros now);
  bool is_empty(std::chrono::milliseconds window, UtcMicros now) const;

  void encode(std::string& out) const;
  // Takes what encode() wrote from the front of `in`; kInternal if it wrote no such thing.
  static Result<FixedWindow> decode(std::string_view& in);

 private:
  std::uint64_t used(std::chrono::milliseconds window, UtcMicros now) const;

  std::int64_t began_ = 0;  // µs
  std::uint32_t count_ = 0;
};
static_assert(kLimitMax <= UINT32_MAX);

}  // namespace hearth::limits
