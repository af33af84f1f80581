#pragma once

// The starts that count against a type's rate limit: those of the last window.
//
// The limit holds in every window, wherever it begins, and `count` may start at once if none did for a window. Starts are
// kept by ticks of a hundredth of the window, so a log has about a hundred entries at most; each counts as if it came at
// the end of its tick, so a start may wait a hundredth longer than it had to and never comes too early.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/jobs/job_admin.h"

namespace hearth::jobs {

class RateLog {
 public:
  // `state`: what state() gave, or empty. Starts in the future, as after a step of the clock, count as of now.
  RateLog(TypeSettings::Rate rate, std::string_view state, UtcMicros now);

  // How many may start now.
  std::size_t free() const;
  // When the first may start, if none may now. REQUIRES: free() == 0.
  UtcMicros next_free() const;
  // REQUIRES: starts <= free().
  void add(std::size_t starts);
  std::string state() const;

 private:
  struct Starts {
    UtcMicros at;  // the end of their tick
    std::size_t count;
  };

  UtcMicros end_of_tick(UtcMicros time) const;

  TypeSettings::Rate rate_;
  UtcMicros now_;
  std::vector<Starts> starts_;  // of this window, oldest first
};

}  // namespace hearth::jobs
