#include "hearth/limits/fixed_window.h"

#include <algorithm>

#include "hearth/limits/varint.h"

namespace hearth::limits {
namespace {

UtcMicros window_start(std::chrono::milliseconds window, UtcMicros now) {
  return UtcMicros(now.time_since_epoch() / std::chrono::microseconds(window) * std::chrono::microseconds(window));
}

}  // namespace

std::uint64_t FixedWindow::used(std::chrono::milliseconds window, UtcMicros now) const {
  return began_ == window_start(window, now).time_since_epoch().count() ? count_ : 0;
}

Decision FixedWindow::peek(const Check& check, UtcMicros now) const {
  std::uint64_t taken = used(check.window, now);
  Decision decision{.is_allowed = taken + check.cost <= check.limit, .limit = check.limit};
  decision.remaining = taken < check.limit ? check.limit - taken : 0;
  decision.reset = taken == 0 ? now : window_start(check.window, now) + check.window;
  if (!decision.is_allowed) decision.retry_after = decision.reset - now;
  return decision;
}

Decision FixedWindow::take(const Check& check, UtcMicros now) {
  Decision decision = peek(check, now);
  if (!decision.is_allowed) return decision;
  count_ = static_cast<std::uint32_t>(used(check.window, now) + check.cost);
  began_ = window_start(check.window, now).time_since_epoch().count();
  decision.remaining -= check.cost;
  decision.reset = window_start(check.window, now) + check.window;
  return decision;
}

bool FixedWindow::refund(const Check& check, UtcMicros now) {
  std::uint64_t taken = used(check.window, now);
  count_ = static_cast<std::uint32_t>(taken - std::min(taken, check.cost));
  return taken != 0;
}

bool FixedWindow::is_empty(std::chrono::milliseconds window, UtcMicros now) const {
  return used(window, now) == 0;
}

void FixedWindow::encode(std::string& out) const {
  put_varint(out, static_cast<std::uint64_t>(began_));
  put_varint(out, count_);
}

Result<FixedWindow> FixedWindow::decode(std::string_view& in) {
  std::uint64_t began = 0;
  std::uint64_t count = 0;
  if (!take_varint(in, began) || !take_varint(in, count) || began > INT64_MAX / 2 || count > kLimitMax)
    return fail(ErrorCode::kInternal, "limits: a fixed window's count is damaged");
  FixedWindow window;
  window.began_ = static_cast<std::int64_t>(began);
  window.count_ = static_cast<std::uint32_t>(count);
  return window;
}

}  // namespace hearth::limits
