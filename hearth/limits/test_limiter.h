#pragma once

// A small limiter for the tests of what stands above one: sliding windows of a clock that the test moves, and failures on demand.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/limits/limiter.h"

namespace hearth::limits {

class TestLimiter final : public Limiter {
 public:
  explicit TestLimiter(const Clock& clock) : clock_(clock) {}

  Task<Result<std::vector<Decision>>> take(std::vector<Check> checks) override {
    ++calls;
    if (failure) co_return std::unexpected(*failure);
    auto decisions = look(checks);
    if (std::ranges::all_of(decisions, &Decision::is_allowed)) {
      for (std::size_t i = 0; i < checks.size(); ++i) {
        for (std::uint64_t n = 0; n < checks[i].cost; ++n) log_of(checks[i]).push_back(clock_.now());
        decisions[i] = after(checks[i]);
      }
    }
    co_return decisions;
  }
  Task<Result<std::vector<Decision>>> peek(std::vector<Check> checks) override {
    ++calls;
    if (failure) co_return std::unexpected(*failure);
    co_return look(checks);
  }
  Task<Result<Decision>> refund(Check check) override {
    ++calls;
    if (failure) co_return std::unexpected(*failure);
    auto& log = log_of(check);
    log.erase(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(log.size(), check.cost)));
    auto decision = after(check);
    decision.is_allowed = decision.remaining >= check.cost;
    co_return decision;
  }

  std::vector<std::string> keys() const {
    std::vector<std::string> keys;
    for (const auto& [key, log] : logs_) keys.push_back(key.first);
    return keys;
  }

  std::optional<Error> failure = {};
  int calls = 0;
  std::chrono::microseconds tick{0};  // what decisions say

 private:
  using Log = std::vector<UtcMicros>;

  Log& log_of(const Check& check) {
    auto& log = logs_[{check.key, check.window}];
    std::erase_if(log, [&](UtcMicros at) { return at + check.window <= clock_.now(); });
    return log;
  }
  Decision after(const Check& check) {
    const auto& log = log_of(check);
    return {.is_allowed = true,
            .limit = check.limit,
            .remaining = check.limit - std::min<std::uint64_t>(check.limit, log.size()),
            .reset = log.empty() ? clock_.now() : log.front() + check.window,
            .tick = tick};
  }
  std::vector<Decision> look(const std::vector<Check>& checks) {
    std::vector<Decision> decisions;
    for (const auto& check : checks) {
      auto& decision = decisions.emplace_back(after(check));
      decision.is_allowed = decision.remaining >= check.cost;
      if (decision.is_allowed) continue;
      const auto& log = log_of(check);
      decision.reset = log[log.size() - check.limit + check.cost - 1] + check.window;
      decision.retry_after = decision.reset - clock_.now();
    }
    return decisions;
  }

  const Clock& clock_;
  std::map<std::pair<std::string, std::chrono::milliseconds>, Log> logs_;
};

}  // namespace hearth::limits
