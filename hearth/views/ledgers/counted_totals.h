#pragma once

// What SQL makes of numbers that a live store brings, whichever database it is.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hearth/views/view_ledger.h"

namespace hearth::views {

inline constexpr std::size_t kPrunedMax = 5'000;         // rows of a table in one transaction
inline constexpr std::size_t kConsideredOfHour = 1'000;  // stories of an hour, for what is trending

// SQL has `views`, of which it counted `direct` itself; the live store knew of fewer of these, perhaps.
inline std::uint64_t total_with(const CountedItem& counted, std::uint64_t views, std::uint64_t direct) {
  auto unknown = direct - std::min(direct, counted.direct);
  return std::max(views, counted.views + unknown);
}

}  // namespace hearth::views
