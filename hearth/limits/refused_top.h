#pragma once

// Which keys are refused most: space-saving counters (Metwally, Agrawal, El Abbadi), whose memory is bounded however many keys
// there are. A key that was refused more often than 1/capacity of all refusals is among them for certain.
//
// Thread-safe.

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/guarded.h"
#include "hearth/base/hash.h"

namespace hearth::limits {

inline constexpr std::size_t kRefusedKeysMax = 1'000;

class RefusedTop {
 public:
  struct Entry {
    std::string key;
    std::uint64_t refused = 0;    // never less than it was
    std::uint64_t overcount = 0;  // and at most so much more
  };

  explicit RefusedTop(std::size_t capacity = kRefusedKeysMax) : counters_(Counters{.capacity = capacity}) {}

  void add(std::string_view key);
  // The first `count`, most first.
  std::vector<Entry> top(std::size_t count) const;

 private:
  struct Counters {
    std::size_t capacity;
    std::vector<Entry> entries = {};  // most first
    boost::unordered_flat_map<std::string, std::size_t, TextHash, std::equal_to<>> places = {};

    void raise(std::size_t place);
  };
  mutable Guarded<Counters> counters_;
};

}  // namespace hearth::limits
