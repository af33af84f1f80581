#pragma once

// The answers that Idempotency-Keys got in the last ten minutes, in memory; the journal keeps them across restarts.
//
// The caller holds lock(key) from looking a key up to storing its answer, so that two requests with one key cannot both
// take effect. Bounded by bytes_max: when full, is_full() says so and keyed changes must be refused; nothing that is
// still valid is ever dropped.
//
// Thread-safe under lock(key).

#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/hash.h"
#include "hearth/outbox/journal.h"

namespace hearth::outbox {

inline constexpr std::chrono::minutes kIdempotencyPeriod{10};

struct KeyedAnswer {
  std::string content;
  Sequence sequence = 0;  // the batch that holds it: wait for it before answering
  UtcMicros at{};
};

class IdempotencyIndex {
 public:
  explicit IdempotencyIndex(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  std::unique_lock<std::mutex> lock(std::string_view key);
  // Null if the key is new or older than the period. Valid under the lock.
  const KeyedAnswer* find(std::string_view key, UtcMicros now) const;
  void put(std::string_view key, KeyedAnswer answer);
  bool is_full() const { return bytes_ >= bytes_max_; }
  std::uint64_t bytes() const { return bytes_; }

  // Takes every lock in turn.
  void prune(UtcMicros before);
  void forget_from(Sequence first);

 private:
  using Answers = boost::unordered_flat_map<std::string, KeyedAnswer, TextHash, std::equal_to<>>;
  struct Stripe {
    mutable std::mutex mutex;
    Answers answers;
  };
  static constexpr std::size_t kStripes = 64;

  Stripe& stripe(std::string_view key) { return stripes_[(hash64(key) >> 16) % kStripes]; }
  const Stripe& stripe(std::string_view key) const { return stripes_[(hash64(key) >> 16) % kStripes]; }
  template <typename Predicate>
  void erase_where(Predicate predicate);

  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> bytes_{0};
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace hearth::outbox
