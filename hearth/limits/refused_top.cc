#include "hearth/limits/refused_top.h"

#include <algorithm>
#include <utility>

namespace hearth::limits {

// One more for the entry at `place`. It changes places with the first of those that count as much, so that the order stays.
void RefusedTop::Counters::raise(std::size_t place) {
  auto refused = entries[place].refused;
  auto first = std::ranges::partition_point(entries, [refused](const Entry& entry) { return entry.refused > refused; });
  std::size_t target = first - entries.begin();
  if (target != place) {
    std::swap(entries[target], entries[place]);
    places.find(entries[place].key)->second = place;
    places.find(entries[target].key)->second = target;
  }
  ++entries[target].refused;
}

void RefusedTop::add(std::string_view key) {
  counters_.with([key](Counters& counters) {
    auto found = counters.places.find(key);
    if (found != counters.places.end()) return counters.raise(found->second);
    if (counters.entries.size() < counters.capacity) {
      counters.entries.push_back({.key = std::string(key)});
    } else {
      // A new key takes over the least count: it may have been refused that often and forgotten.
      auto& least = counters.entries.back();
      counters.places.erase(least.key);
      least.key = key;
      least.overcount = least.refused;
    }
    std::size_t place = counters.entries.size() - 1;
    counters.places.emplace(std::string(key), place);
    counters.raise(place);
  });
}

std::vector<RefusedTop::Entry> RefusedTop::top(std::size_t count) const {
  return counters_.with([count](const Counters& counters) {
    auto end = counters.entries.begin() + static_cast<std::ptrdiff_t>(std::min(count, counters.entries.size()));
    return std::vector<Entry>(counters.entries.begin(), end);
  });
}

}  // namespace hearth::limits
