#pragma once

// GCRA: one each window / limit, with bursts of up to `limit`.
//
// What was admitted is a debt in time: a cost adds cost × window / limit, and time pays it off; at most a window is owed. The
// moment at which it is paid is kept exactly, as whole microseconds and a fraction in parts of the limit, so that nothing
// drifts. Under another limit the fraction is rounded up to the parts of that; moments in answers are rounded up too.
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

class Gcra {
 public:
  // Decision::reset is in the time of `now`.
  Decision peek(const Check& check, UtcMicros now) const;
  Decision take(const Check& check, UtcMicros now);
  // Says whether there was anything to give back.
  bool refund(const Check& check, UtcMicros now);
  bool is_empty(UtcMicros now) const;

  void encode(std::string& out) const;
  // Takes what encode() wrote from the front of `in`; kInternal if it wrote no such thing.
  static Result<Gcra> decode(std::string_view& in);

 private:
  // In 1 / limit of a microsecond; limit × window needs more than 64 bits.
  using Parts = unsigned __int128;
  Parts debt(std::uint64_t limit, UtcMicros now) const;
  void owe(Parts debt, std::uint64_t limit, UtcMicros now);

  std::int64_t paid_at_ = 0;  // µs, and
  std::uint32_t part_ = 0;    // part_ / parts_ of the next
  std::uint32_t parts_ = 1;
};
static_assert(kLimitMax <= UINT32_MAX);

}  // namespace hearth::limits
