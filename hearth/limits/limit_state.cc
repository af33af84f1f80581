#include "hearth/limits/limit_state.h"

#include "hearth/base/assert.h"

namespace hearth::limits {
namespace {

template <typename... Uses>
struct Overloaded : Uses... {
  using Uses::operator()...;
};
template <typename... Uses>
Overloaded(Uses...) -> Overloaded<Uses...>;

static_assert(static_cast<int>(Algorithm::kSlidingWindow) == 0 && static_cast<int>(Algorithm::kGcra) == 1 &&
                  static_cast<int>(Algorithm::kFixedWindow) == 2,
              "the alternatives of state_ are in this order");

}  // namespace

LimitState::LimitState(Algorithm algorithm) {
  if (algorithm == Algorithm::kGcra) state_ = Gcra();
  if (algorithm == Algorithm::kFixedWindow) state_ = FixedWindow();
}

Decision LimitState::peek(const Check& check, std::size_t exact_entries_max, UtcMicros now) {
  return std::visit(
      Overloaded{[&](SlidingWindow& state) { return state.peek(check, log_tick(check.limit, check.window, exact_entries_max), now); },
                 [&](auto& state) { return state.peek(check, now); }},
      state_);
}

Decision LimitState::take(const Check& check, std::size_t exact_entries_max, UtcMicros now) {
  return std::visit(
      Overloaded{[&](SlidingWindow& state) { return state.take(check, log_tick(check.limit, check.window, exact_entries_max), now); },
                 [&](auto& state) { return state.take(check, now); }},
      state_);
}

std::uint64_t LimitState::refund(const Check& check, UtcMicros now) {
  return std::visit(Overloaded{[&](SlidingWindow& state) { return state.refund(check.cost, check.window, now); },
                               [&](auto& state) { return state.refund(check, now) ? check.cost : std::uint64_t{0}; }},
                    state_);
}

bool LimitState::is_empty(std::chrono::milliseconds window, UtcMicros now) {
  return std::visit(Overloaded{[&](Gcra& state) { return state.is_empty(now); }, [&](auto& state) { return state.is_empty(window, now); }},
                    state_);
}

LimitState::Before LimitState::before() const {
  return std::visit(Overloaded{[](const SlidingWindow&) { return Before(); }, [](const auto& state) { return Before(state); }}, state_);
}

void LimitState::undo(const Before& before, const Check& check) {
  std::visit(
      Overloaded{[&](std::monostate) { std::get<SlidingWindow>(state_).undo(check.cost); }, [&](const auto& state) { state_ = state; }},
      before);
}

void LimitState::encode(std::string& out) const {
  std::visit([&](const auto& state) { state.encode(out); }, state_);
}

Result<LimitState> LimitState::decode(Algorithm algorithm, std::string_view& in) {
  LimitState decoded(algorithm);
  auto read = [&](auto state) -> Result<LimitState> {
    if (!state) return std::unexpected(state.error());
    decoded.state_ = std::move(*state);
    return std::move(decoded);
  };
  switch (algorithm) {
    case Algorithm::kSlidingWindow:
      return read(SlidingWindow::decode(in));
    case Algorithm::kGcra:
      return read(Gcra::decode(in));
    case Algorithm::kFixedWindow:
      return read(FixedWindow::decode(in));
  }
  return fail(ErrorCode::kInternal, "limits: an unknown algorithm");
}

std::size_t LimitState::heap_bytes() const {
  const auto* sliding = std::get_if<SlidingWindow>(&state_);
  return sliding ? sliding->heap_bytes() : 0;
}
std::size_t LimitState::growth_bytes() const {
  const auto* sliding = std::get_if<SlidingWindow>(&state_);
  return sliding ? sliding->growth_bytes() : 0;
}

}  // namespace hearth::limits
