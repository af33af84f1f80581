#pragma once

// Whether something may happen now, given how often it happened before: the live state of rate limits.
//
// Promises, checked on every implementation by limiter_conformance.h:
//  - kSlidingWindow never admits a cost of more than `limit` within any window, and refuses nothing that fits (Decision::tick
//    aside); what it says about the next free place is true.
//  - Several checks are admitted all or none. A refused check costs nothing.
//  - Time is the store's own and never goes back.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <vector>

#include "hearth/base/task.h"
#include "hearth/limits/limit.h"

namespace hearth::limits {

class Limiter {
 public:
  virtual ~Limiter() = default;

  // In the order given. If one is refused nothing is taken, and those that would have been admitted say so (is_allowed) as a
  // peek would. kUnavailable: the store is away or full; it may have taken or not. Where it answers and one check found no room,
  // Error::field is the index of that in `checks`, and nothing is taken.
  // REQUIRES: 0 < checks.size() <= kChecksMax, each valid.
  virtual Task<Result<std::vector<Decision>>> take(std::vector<Check> checks) = 0;
  // The same without taking anything.
  virtual Task<Result<std::vector<Decision>>> peek(std::vector<Check> checks) = 0;
  // Gives back up to `cost` of what was taken within the window, the oldest first: so of what was taken and not given back no
  // window holds more than the limit, whichever admission was meant. A place may become free later than the one that was meant
  // would have made it. What was not taken is not given. The decision is that of a peek afterwards.
  // REQUIRES: what is meant was taken within the window; after it the place is free anyway, and another's would be given.
  virtual Task<Result<Decision>> refund(Check check) = 0;
};

}  // namespace hearth::limits
