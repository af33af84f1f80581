#pragma once

// What is known of one key, algorithm and window.
//
// Pure, like the algorithms: time comes in and never goes back. Not thread-safe.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/limits/fixed_window.h"
#include "hearth/limits/gcra.h"
#include "hearth/limits/limit.h"
#include "hearth/limits/sliding_window.h"

namespace hearth::limits {

// Under which name a state is kept; the limit is not part of it.
struct StateName {
  std::string_view key;
  Algorithm algorithm = Algorithm::kSlidingWindow;
  std::chrono::milliseconds window{1'000};

  StateName() = default;
  StateName(std::string_view k, Algorithm a, std::chrono::milliseconds w) : key(k), algorithm(a), window(w) {}
  explicit StateName(const Check& check) : key(check.key), algorithm(check.algorithm), window(check.window) {}
};

class LimitState {
 public:
  explicit LimitState(Algorithm algorithm);

  Algorithm algorithm() const { return static_cast<Algorithm>(state_.index()); }

  Decision peek(const Check& check, std::size_t exact_entries_max, UtcMicros now);
  Decision take(const Check& check, std::size_t exact_entries_max, UtcMicros now);
  // Says how much was given back; for kGcra and kFixedWindow only whether (0 or `cost`).
  std::uint64_t refund(const Check& check, UtcMicros now);
  bool is_empty(std::chrono::milliseconds window, UtcMicros now);

  // To take back a take() in the same moment, without a trace.
  using Before = std::variant<std::monostate, Gcra, FixedWindow>;
  Before before() const;
  void undo(const Before& before, const Check& check);

  SlidingWindow* sliding() { return std::get_if<SlidingWindow>(&state_); }  // null: another algorithm
  const SlidingWindow* sliding() const { return std::get_if<SlidingWindow>(&state_); }

  void encode(std::string& out) const;
  static Result<LimitState> decode(Algorithm algorithm, std::string_view& in);

  // On the heap; and how much the next take() may need.
  std::size_t heap_bytes() const;
  std::size_t growth_bytes() const;

 private:
  std::variant<SlidingWindow, Gcra, FixedWindow> state_;  // in the order of Algorithm
};

}  // namespace hearth::limits
