#pragma once

// What the outbox still holds of a session, laid over what the ledger says that it likes.

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#include "hearth/likes/like_ledger.h"

namespace hearth::likes {

using Cursors = std::vector<std::pair<outbox::Partition, LedgerCursor>>;

inline LedgerCursor cursor_of(const Cursors& cursors, outbox::Partition partition) {
  auto found = std::ranges::find(cursors, partition, &Cursors::value_type::first);
  return found == cursors.end() ? LedgerCursor{} : found->second;
}

// Leaves what lies behind the cursors.
inline void drop_applied(std::vector<TailEvent>& tail, const Cursors& cursors) {
  std::erase_if(tail, [&](const TailEvent& event) { return event.position <= cursor_of(cursors, event.partition).position; });
}

// `likes`: at least the newest `limit` + tail.size() of the session. Leaves the newest `limit` of all, in order.
inline void apply_tail(std::vector<LikedPost>& likes, std::vector<TailEvent> tail, std::size_t limit) {
  for (auto& event : tail) {
    std::erase_if(likes, [&](const LikedPost& like) { return like.post == event.post; });
    if (event.is_liked) likes.push_back({std::move(event.post), event.at});
  }
  std::ranges::sort(likes, [](const LikedPost& a, const LikedPost& b) { return std::tie(b.at, a.post) < std::tie(a.at, b.post); });
  if (likes.size() > limit) likes.resize(limit);
}

}  // namespace hearth::likes
