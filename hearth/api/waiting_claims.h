#pragma once

// The claims that wait for jobs to come.
//
// A notice wakes them all, and each of them looking at the queue would cost a query a claim a job. So those that wait for the
// same types take turns: one looks; if it finds jobs the next one looks too; if it finds none, nobody else need look for that
// notice. Thread-safe; coroutines run on the io_context thread of their caller.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/base/task.h"
#include "hearth/jobs/job_signal.h"

namespace hearth::api {

inline constexpr std::size_t kWaitingClaimsMax = 256;

class WaitingClaims {
 private:
  // Those that wait for the same types.
  struct Line {
    std::size_t members = 0;
    bool is_looking = false;  // one of them is
    // There was nothing for them when the signal had this count, and there will be nothing before that moment without a notice.
    std::optional<std::uint64_t> empty_as_of = {};
    std::chrono::steady_clock::time_point empty_until = {};
  };
  using Lines = std::map<std::string, Line>;

 public:
  explicit WaitingClaims(const Clock& clock) : clock_(clock) {}

  // One of them. `claims` outlives it.
  class Place {
   public:
    // `types`: the same text for those that wait for the same. Look at is_there(): there may be too many.
    Place(WaitingClaims& claims, const std::string& types);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();
    bool is_there() const { return line_ != nullptr; }

    // Returns when it is this claim's turn: nothing. Or when another one looked after the signal had counted `seen` and found
    // nothing: until when that holds. REQUIRES: is_there().
    Task<std::optional<std::chrono::steady_clock::time_point>> take_turn(std::uint64_t seen);
    // After a turn. `until`: there was nothing, and will be nothing before that moment; absent: there may be more.
    void end_turn(std::uint64_t seen, std::optional<std::chrono::steady_clock::time_point> until);

   private:
    WaitingClaims& claims_;
    Lines::value_type* line_ = nullptr;  // its content only under the lock
    bool is_looking_ = false;
  };

 private:
  struct State {
    Lines lines;
    std::size_t places = 0;
  };

  const Clock& clock_;
  Guarded<State> state_;
  jobs::JobSignal turn_ended_;
};

}  // namespace hearth::api
