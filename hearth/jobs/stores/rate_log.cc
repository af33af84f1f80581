#include "hearth/jobs/stores/rate_log.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <numeric>

#include "hearth/base/assert.h"

namespace hearth::jobs {
namespace {

constexpr int kTicksPerWindow = 100;

// Takes the number and the separator behind it from the front. What this file did not write counts as 0.
std::int64_t take_number(std::string_view& text) {
  std::int64_t number = 0;
  const char* end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
  text.remove_prefix(std::min<std::size_t>(static_cast<std::size_t>(end - text.data()) + 1, text.size()));
  return number;
}

}  // namespace

RateLog::RateLog(TypeSettings::Rate rate, std::string_view state, UtcMicros now) : rate_(rate), now_(now) {
  while (!state.empty()) {
    UtcMicros at{std::chrono::microseconds(take_number(state))};
    auto count = static_cast<std::size_t>(take_number(state));
    if (at + rate_.window > now_) starts_.push_back({std::min(at, end_of_tick(now_)), count});
  }
}

std::size_t RateLog::free() const {
  auto taken =
      std::accumulate(starts_.begin(), starts_.end(), std::size_t{0}, [](std::size_t sum, const Starts& s) { return sum + s.count; });
  auto count = static_cast<std::size_t>(rate_.count);
  return count > taken ? count - taken : 0;
}

UtcMicros RateLog::next_free() const {
  // After a limit was lowered, more than one entry may have to go first.
  std::size_t left = 0;
  auto must_end = std::find_if(starts_.rbegin(), starts_.rend(), [&](const Starts& s) {
    left += s.count;
    return left >= static_cast<std::size_t>(rate_.count);
  });
  HEARTH_ASSERT(must_end != starts_.rend());
  return must_end->at + rate_.window;
}

void RateLog::add(std::size_t starts) {
  HEARTH_ASSERT(starts <= free());
  if (starts == 0) return;
  UtcMicros at = end_of_tick(now_);
  if (starts_.empty() || starts_.back().at != at) starts_.push_back({at, 0});
  starts_.back().count += starts;
}

std::string RateLog::state() const {
  std::string text;
  for (const Starts& s : starts_) text += std::to_string(s.at.time_since_epoch().count()) + ":" + std::to_string(s.count) + ",";
  return text;
}

UtcMicros RateLog::end_of_tick(UtcMicros time) const {
  auto tick = std::max(std::chrono::microseconds(rate_.window) / kTicksPerWindow, std::chrono::microseconds(1));
  return UtcMicros((time.time_since_epoch() / tick + 1) * tick);
}

}  // namespace hearth::jobs
