#pragma once

// The nouns of rate limits, and their limits.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"

namespace hearth::limits {

inline constexpr std::uint64_t kLimitMax = 1'000'000'000;
inline constexpr std::chrono::milliseconds kWindowMin{1};
inline constexpr std::chrono::milliseconds kWindowMax = std::chrono::days(30);
inline constexpr std::size_t kChecksMax = 20;  // of one request, all or nothing

enum class Algorithm : std::uint8_t {
  kSlidingWindow,  // never more than `limit` in any window, and nothing refused that fits
  kGcra,           // one each window/limit, with bursts of up to `limit`
  kFixedWindow,    // `limit` in each window of the clock: up to twice as many across the border of two
};
std::string_view name_of(Algorithm algorithm);  // "sliding_window" …
std::optional<Algorithm> algorithm_named(std::string_view name);

// One question. What was admitted before is kept by key, algorithm and window together, so that limits over several windows
// can share a key; the limit itself may change from one check to the next.
struct Check {
  std::string key;  // a valid id, or a name of ours
  std::uint64_t limit = 1;
  std::chrono::milliseconds window{1'000};
  Algorithm algorithm = Algorithm::kSlidingWindow;
  std::uint64_t cost = 1;  // a cost above the limit never fits, and is kInvalidArgument
};
// kInvalidArgument naming key, limit, windowMs, or cost.
Result<void> validate(const Check& check);

struct Decision {
  bool is_allowed = false;
  std::uint64_t limit = 0;
  std::uint64_t remaining = 0;  // of cost 1 that would fit now, after this
  // When a place becomes free next: allowed, the moment at which `remaining` next grows, or now if nothing is taken;
  // refused, the moment at which the same cost fits if nobody else takes the place.
  UtcMicros reset{};
  std::optional<std::chrono::microseconds> retry_after = {};  // refused: until `reset`
  // How much later than exactly a place may become free: 0, or the tick to which a large limit's log is rounded.
  std::chrono::microseconds tick{0};
};

}  // namespace hearth::limits
