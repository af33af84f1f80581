#pragma once

// Trending stories, which cost much to compute and may be asked for by anybody: computed once at a time, and kept for ten times
// as long as it took, so that they take a tenth of a thread at most.
//
// Thread-safe.

#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/base/result.h"
#include "hearth/base/single_flight.h"
#include "hearth/base/task.h"
#include "hearth/views/view.h"

namespace hearth::views {

class RankingCache {
 public:
  using Compute = std::function<Task<Result<std::vector<ItemViews>>>()>;  // the first kTrendingMax

  explicit RankingCache(const Clock& clock) : clock_(clock) {}

  // The first `limit` of the hours from `since` on.
  Task<Result<std::vector<ItemViews>>> get(UtcHour since, std::size_t limit, Compute compute);
  // Drops the coroutines that wait. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters() { flights_.abandon_waiters(); }

 private:
  struct Ranking {
    std::vector<ItemViews> items;
    std::chrono::steady_clock::time_point until{};
  };
  using Rankings = boost::unordered_flat_map<std::int64_t, Ranking>;  // by their first hour

  std::optional<std::vector<ItemViews>> known(UtcHour since, std::size_t limit);
  void keep(UtcHour since, const std::vector<ItemViews>& items, std::chrono::steady_clock::duration cost);

  const Clock& clock_;
  SingleFlight flights_;
  Guarded<Rankings> rankings_;
};

}  // namespace hearth::views
