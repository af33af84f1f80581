#pragma once

// What a ledger does not know yet of a post, by the versions of its events.

#include <cstdint>
#include <span>

#include "hearth/outbox/event.h"

namespace hearth::likes {

struct News {
  const outbox::LikeChanged* newest = nullptr;  // null: the ledger knows all of them
  bool has_gap = false;                         // events are missing between what it knows and the newest
};

// In an unbroken chain from the known version on, the steps from `previous` to `version` add up to all the way.
inline News news_since(std::uint64_t known, std::span<const outbox::LikeChanged* const> events) {
  News news;
  std::uint64_t covered = 0;
  for (const auto* event : events) {
    if (event->version <= known) continue;
    covered += event->version - event->previous;
    if (news.newest == nullptr || event->version > news.newest->version) news.newest = event;
  }
  news.has_gap = news.newest != nullptr && covered != news.newest->version - known;
  return news;
}

}  // namespace hearth::likes
