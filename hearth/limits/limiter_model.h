#pragma once

// For tests: limits kept in the plainest way that can be right, and what an answer must be, to the microsecond.
//
// kSlidingWindow. An admission at `at` counts until `at` + window, exclusive. Its time is the store's, rounded up to log_tick(),
// and not before that of the newest one. It is allowed when what counts and its cost fit the limit. Refused, `reset` is when
// enough of the oldest have left.
// kGcra. A debt in time: a cost adds cost × window / limit, and time pays it off. It is allowed when the debt is then at most
// the window. The debt is kept in whole parts 1 / limit of a microsecond; under another limit it is rounded up to the parts
// of that. Moments are rounded up to whole microseconds.
// kFixedWindow. Windows begin at multiples of their length since 1970, in the store's time.
//
// Several checks are decided in order, each after those before it that were allowed. If one is refused, nothing is taken:
// the refused ones keep what they were told, the others are peeked at again.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "hearth/limits/limit.h"
#include "hearth/limits/sliding_window.h"

namespace hearth::limits {

inline bool operator==(const Decision& a, const Decision& b) {
  return std::tie(a.is_allowed, a.limit, a.remaining, a.reset, a.retry_after, a.tick) ==
         std::tie(b.is_allowed, b.limit, b.remaining, b.reset, b.retry_after, b.tick);
}
inline void PrintTo(const Decision& decision, std::ostream* out) {
  *out << (decision.is_allowed ? "allowed" : "refused") << ", " << decision.remaining << " of " << decision.limit << ", reset at "
       << decision.reset.time_since_epoch().count() << " µs";
  if (decision.retry_after) *out << ", retry after " << decision.retry_after->count() << " µs";
  if (decision.tick.count() != 0) *out << ", tick " << decision.tick.count() << " µs";
}
inline void PrintTo(const Check& check, std::ostream* out) {
  *out << check.cost << " of " << check.limit << " in " << check.window.count() << " ms of " << check.key << " by "
       << name_of(check.algorithm);
}

class LimiterModel {
 public:
  explicit LimiterModel(std::size_t exact_entries_max) : exact_entries_max_(exact_entries_max) {}

  std::vector<Decision> take(const std::vector<Check>& checks, UtcMicros now) {
    auto before = states_;
    std::vector<Decision> decisions;
    for (const auto& check : checks) {
      decisions.push_back(peek(check, now));
      if (decisions.back().is_allowed) decisions.back() = taken(check, now);
    }
    if (std::ranges::all_of(decisions, &Decision::is_allowed)) return decisions;
    states_ = std::move(before);
    for (std::size_t i = 0; i < checks.size(); ++i) {
      if (decisions[i].is_allowed) decisions[i] = peek(checks[i], now);
    }
    return decisions;
  }

  Decision peek(const Check& check, UtcMicros now) {
    State state = states_[name(check)];
    auto cost = static_cast<std::int64_t>(check.cost);
    auto limit = static_cast<std::int64_t>(check.limit);
    std::int64_t at = micros(now);
    Decision decision{.is_allowed = used(state, check, at) + cost <= limit, .limit = check.limit, .tick = tick(check)};
    decision.remaining = static_cast<std::uint64_t>(remaining(state, check, at));
    std::int64_t reset = decision.is_allowed ? first_with(state, check, at, remaining(state, check, at) + 1)
                                             : first_with(state, check, at, static_cast<std::int64_t>(check.cost));
    decision.reset = UtcMicros(std::chrono::microseconds(reset));
    if (!decision.is_allowed) decision.retry_after = decision.reset - now;
    return decision;
  }

  Decision refund(const Check& check, UtcMicros now) {
    State& state = states_[name(check)];
    auto cost = static_cast<std::int64_t>(check.cost);
    std::int64_t at = micros(now);
    switch (check.algorithm) {
      case Algorithm::kSlidingWindow:
        std::erase_if(state.admissions, [&](const auto& admission) { return admission.first + window(check) <= at; });
        for (auto& admission : state.admissions) {
          auto back = std::min(cost, admission.second);
          admission.second -= back;
          cost -= back;
        }
        std::erase_if(state.admissions, [](const auto& admission) { return admission.second == 0; });
        break;
      case Algorithm::kGcra:
        rescale(state, check);
        state.paid_at = std::max(state.paid_at - Wide(cost) * window(check), Wide(at) * Wide(check.limit));
        break;
      case Algorithm::kFixedWindow:
        if (state.window_start == window_start(check, at)) state.count -= std::min(cost, state.count);
        break;
    }
    return peek(check, now);
  }

 private:
  using Wide = __int128;

  struct State {
    std::vector<std::pair<std::int64_t, std::int64_t>> admissions;  // at, cost
    Wide paid_at = 0;                                               // when the debt is paid, in 1 / scale of a microsecond
    std::uint64_t scale = 1;
    std::int64_t window_start = 0;
    std::int64_t count = 0;
  };

  static std::int64_t micros(UtcMicros time) { return time.time_since_epoch().count(); }
  static std::int64_t window(const Check& check) { return std::chrono::microseconds(check.window).count(); }
  static std::int64_t window_start(const Check& check, std::int64_t at) { return at / window(check) * window(check); }
  static Wide ceil_divide(Wide value, Wide by) { return (value + by - 1) / by; }
  static std::string name(const Check& check) {
    return check.key + " " + std::to_string(check.window.count()) + " " + std::string(name_of(check.algorithm));
  }
  std::chrono::microseconds tick(const Check& check) const {
    if (check.algorithm != Algorithm::kSlidingWindow) return std::chrono::microseconds(0);
    return log_tick(check.limit, check.window, exact_entries_max_);
  }
  static void rescale(State& state, const Check& check) {
    state.paid_at = ceil_divide(state.paid_at * Wide(check.limit), Wide(state.scale));
    state.scale = check.limit;
  }

  Decision taken(const Check& check, UtcMicros now) {
    State& state = states_[name(check)];
    auto cost = static_cast<std::int64_t>(check.cost);
    std::int64_t at = micros(now);
    switch (check.algorithm) {
      case Algorithm::kSlidingWindow: {
        std::int64_t step = std::max<std::int64_t>(1, tick(check).count());
        std::int64_t counted_at = (at + step - 1) / step * step;
        std::erase_if(state.admissions, [&](const auto& admission) { return admission.first + window(check) <= at; });
        if (!state.admissions.empty()) counted_at = std::max(counted_at, state.admissions.back().first);
        state.admissions.emplace_back(counted_at, cost);
        break;
      }
      case Algorithm::kGcra:
        rescale(state, check);
        state.paid_at = std::max(state.paid_at, Wide(at) * Wide(check.limit)) + Wide(cost) * window(check);
        break;
      case Algorithm::kFixedWindow:
        if (state.window_start != window_start(check, at)) state.count = 0;
        state.window_start = window_start(check, at);
        state.count += cost;
        break;
    }
    Decision after = peek(check, now);
    after.is_allowed = true;
    after.reset = UtcMicros(std::chrono::microseconds(first_with(state, check, at, static_cast<std::int64_t>(after.remaining) + 1)));
    after.retry_after.reset();
    return after;
  }

  // How much of the limit is taken at the moment `at`, rounded up.
  static std::int64_t used(State state, const Check& check, std::int64_t at) {
    std::int64_t sum = 0;
    switch (check.algorithm) {
      case Algorithm::kSlidingWindow:
        for (auto [counted_at, cost] : state.admissions) sum += counted_at + window(check) > at ? cost : 0;
        return sum;
      case Algorithm::kGcra:
        rescale(state, check);
        return static_cast<std::int64_t>(ceil_divide(std::max<Wide>(0, state.paid_at - Wide(at) * Wide(check.limit)), window(check)));
      case Algorithm::kFixedWindow:
        return state.window_start == window_start(check, at) ? state.count : 0;
    }
    return 0;
  }
  static std::int64_t remaining(const State& state, const Check& check, std::int64_t at) {
    return std::max<std::int64_t>(0, static_cast<std::int64_t>(check.limit) - used(state, check, at));
  }

  // The first moment from `from` on at which `wanted` remain; `from` where that is more than the limit.
  static std::int64_t first_with(const State& state, const Check& check, std::int64_t from, std::int64_t wanted) {
    if (wanted > static_cast<std::int64_t>(check.limit) || remaining(state, check, from) >= wanted) return from;
    if (check.algorithm == Algorithm::kFixedWindow) return window_start(check, from) + window(check);
    if (check.algorithm == Algorithm::kSlidingWindow) {
      for (const auto& admission : state.admissions) {
        std::int64_t left_at = admission.first + window(check);
        if (left_at > from && remaining(state, check, left_at) >= wanted) return left_at;
      }
    }
    std::int64_t early = from;  // not yet
    std::int64_t late = from + window(check);
    while (late - early > 1) {
      std::int64_t middle = early + (late - early) / 2;
      (remaining(state, check, middle) >= wanted ? late : early) = middle;
    }
    return late;
  }

  const std::size_t exact_entries_max_;
  std::map<std::string, State> states_;
};

}  // namespace hearth::limits
