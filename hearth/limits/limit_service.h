#pragma once

// Limits that always answer: what the store says, and while it is away or full what the failure policy of the limit says. Where this
// node's memory is the store and full, that is only for the checks that found no room: what is known of the others still holds.
//
// An outage is logged once, when it begins and when it is over: it is over when the store has answered again and has not
// failed for kOutageQuiet.
//
// Thread-safe.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/limits/failure_policy.h"
#include "hearth/limits/limit.h"
#include "hearth/limits/limiter.h"

namespace hearth::limits {

inline constexpr std::chrono::seconds kClosedRetryAfter{1};
inline constexpr std::chrono::seconds kOutageQuiet{10};

// A check, and what to answer if the store cannot.
struct Ask {
  Check check;
  OnFailure on_failure = OnFailure::kLocal;
};

struct Answers {
  std::vector<Decision> decisions;  // in the order asked
  bool is_degraded = false;         // by the failure policies
  bool is_allowed() const;          // all of them are
};

class LimitService {
 public:
  // `local` is the memory of this node. Where the limits are kept in it anyway, both are the same, and where that is full
  // the policy kLocal refuses. All outlive the service.
  LimitService(Limiter& store, Limiter& local, const Clock& clock) : store_(store), local_(local), clock_(clock) {}

  // All or nothing, as Limiter::take(). Fails with kInvalidArgument alone.
  // REQUIRES: 0 < asks.size() <= kChecksMax, each check valid.
  Task<Result<Answers>> take(std::vector<Ask> asks);
  Task<Result<Answers>> peek(std::vector<Ask> asks);
  // While the store is away what this node's memory admitted is given back with kLocal, and kUnavailable with the others.
  Task<Result<Answers>> refund(Ask ask);

  struct Stats {
    std::uint64_t store_failures = 0;
    // Checks that were answered by their failure policy.
    std::uint64_t by_local = 0;
    std::uint64_t by_open = 0;
    std::uint64_t by_closed = 0;
  };
  Stats stats() const;

 private:
  enum class Act : std::uint8_t { kTake, kPeek };

  Task<Result<Answers>> run(std::vector<Ask> asks, Act act);
  Task<Result<std::vector<Decision>>> ask_store(std::vector<Check> checks, Act act);
  Task<Result<Answers>> fall_back(std::vector<Ask> asks, Act act);
  Task<Result<Answers>> fall_back_for(std::size_t full, std::vector<Ask> asks, Act act);
  Decision by_policy(const Ask& ask);
  Task<std::optional<std::vector<Decision>>> ask_local(std::vector<Check> checks, Act act);
  Decision open(const Check& check) const;
  Decision closed(const Check& check) const;
  void note_failure(const Error& error);
  void note_success();

  // Constant after construction.
  Limiter& store_;
  Limiter& local_;
  const Clock& clock_;
  // Safe by themselves.
  std::atomic<bool> is_away_{false};
  std::atomic<std::int64_t> failed_at_{0};  // of the steady clock
  std::atomic<std::uint64_t> store_failures_{0};
  std::atomic<std::uint64_t> by_local_{0};
  std::atomic<std::uint64_t> by_open_{0};
  std::atomic<std::uint64_t> by_closed_{0};
};

}  // namespace hearth::limits
