#include "hearth/outbox/idempotency_index.h"

#include <utility>

namespace hearth::outbox {
namespace {

// What an entry costs: its slot in a table that is about 0.7 full, and its two strings on the heap.
std::uint64_t cost(std::string_view key, const KeyedAnswer& answer) {
  return 160 + key.size() + answer.content.size();
}

}  // namespace

std::unique_lock<std::mutex> IdempotencyIndex::lock(std::string_view key) {
  return std::unique_lock(stripe(key).mutex);
}

const KeyedAnswer* IdempotencyIndex::find(std::string_view key, UtcMicros now) const {
  const auto& answers = stripe(key).answers;
  auto found = answers.find(key);
  if (found == answers.end() || found->second.at + kIdempotencyPeriod <= now) return nullptr;
  return &found->second;
}

void IdempotencyIndex::put(std::string_view key, KeyedAnswer answer) {
  auto& answers = stripe(key).answers;
  if (auto found = answers.find(key); found != answers.end()) {
    bytes_ -= cost(key, found->second);
    answers.erase(found);
  }
  bytes_ += cost(key, answer);
  answers.emplace(std::string(key), std::move(answer));
}

template <typename Predicate>
void IdempotencyIndex::erase_where(Predicate predicate) {
  for (auto& stripe : stripes_) {
    std::lock_guard lock(stripe.mutex);
    boost::unordered::erase_if(stripe.answers, [&](const auto& entry) {
      if (!predicate(entry.second)) return false;
      bytes_ -= cost(entry.first, entry.second);
      return true;
    });
  }
}

void IdempotencyIndex::prune(UtcMicros before) {
  erase_where([&](const KeyedAnswer& answer) { return answer.at <= before; });
}

void IdempotencyIndex::forget_from(Sequence first) {
  erase_where([&](const KeyedAnswer& answer) { return answer.sequence >= first; });
}

}  // namespace hearth::outbox
