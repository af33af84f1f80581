#pragma once

// Where a reader is in the outbox.

#include <compare>
#include <cstdint>

namespace hearth::outbox {

// An entry's place: of the journal its number and 0; of a Redis stream the two parts of its id. {0, 0} is before the first.
struct Position {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;

  friend auto operator<=>(const Position&, const Position&) = default;
};

// The outbox is ordered within a partition. The journal is one of its own; streams are numbered from 0.
using Partition = std::int32_t;
inline constexpr Partition kJournalPartition = -1;

}  // namespace hearth::outbox
