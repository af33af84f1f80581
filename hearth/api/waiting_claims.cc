#include "hearth/api/waiting_claims.h"

#include "hearth/base/assert.h"

namespace hearth::api {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kLookAfter{1'000};  // at whose turn it is, should a notice have been missed

}  // namespace

WaitingClaims::Place::Place(WaitingClaims& claims, const std::string& types) : claims_(claims) {
  claims_.state_.with([&](State& state) {
    if (state.places == kWaitingClaimsMax) return;
    ++state.places;
    line_ = &*state.lines.try_emplace(types).first;
    ++line_->second.members;
  });
}

WaitingClaims::Place::~Place() {
  if (line_ == nullptr) return;
  claims_.state_.with([&](State& state) {
    --state.places;
    if (is_looking_) line_->second.is_looking = false;
    if (--line_->second.members == 0) state.lines.erase(line_->first);
  });
  if (is_looking_) claims_.turn_ended_.notify();
}

Task<std::optional<TimePoint>> WaitingClaims::Place::take_turn(std::uint64_t seen) {
  HEARTH_ASSERT(is_there() && !is_looking_);
  for (;;) {
    auto ended = claims_.turn_ended_.count();
    std::optional<TimePoint> empty_until;
    bool is_decided = claims_.state_.with([&](State&) {
      Line& line = line_->second;
      if (line.is_looking) return false;
      bool is_empty = line.empty_as_of && *line.empty_as_of >= seen && claims_.clock_.steady() < line.empty_until;
      if (is_empty) {
        empty_until = line.empty_until;
      } else {
        line.is_looking = is_looking_ = true;
      }
      return true;
    });
    if (is_decided) co_return empty_until;
    co_await claims_.turn_ended_.wait_async(ended, kLookAfter);
  }
}

void WaitingClaims::Place::end_turn(std::uint64_t seen, std::optional<TimePoint> until) {
  HEARTH_ASSERT(is_looking_);
  claims_.state_.with([&](State&) {
    Line& line = line_->second;
    line.is_looking = is_looking_ = false;
    if (!until) return;
    line.empty_as_of = seen;
    line.empty_until = *until;
  });
  claims_.turn_ended_.notify();
}

}  // namespace hearth::api
