#pragma once

// What the streams hold that SQL does not have yet, as one node follows it: for the rank, and for what a session likes.
//
// A refresh reads how far SQL is, then what is new in the streams; so whatever was answered before the refresh is in the
// tail or in SQL. Entries stay here until SQL has them. Thread-safe.

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hearth/base/single_flight.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/stores/redis/redis_outbox.h"

namespace hearth::likes {

inline constexpr std::size_t kTailEventsMax = 500'000;  // about 100 MB; a longer tail is kUnavailable

class RedisTail {
 public:
  RedisTail(RedisOutbox& outbox, LikeLedger& ledger);

  struct ChangedPost {
    std::string post;
    std::uint32_t likes = 0;  // after its last change
  };
  // The posts that changed, each once.
  Task<Result<std::vector<ChangedPost>>> changed_posts();
  // What the session changed, in order within each partition.
  Task<Result<std::vector<TailEvent>>> events_of(std::string session);

  // A server was lost: what it comes back with may not be what was read.
  void forget();

  void abandon_waiters() { flights_.abandon_waiters(); }

 private:
  Task<Result<void>> refresh();
  Task<Result<void>> follow();
  std::vector<outbox::Position> drop_flushed(const std::vector<std::pair<outbox::Partition, LedgerCursor>>& cursors);
  bool add(std::vector<std::vector<StreamEvent>> pages);
  void clear();  // REQUIRES: the lock

  RedisOutbox& outbox_;
  LikeLedger& ledger_;
  SingleFlight flights_;
  std::mutex mutex_;
  std::vector<std::deque<StreamEvent>> tails_;  // of each partition
  std::vector<outbox::Position> seen_;
  std::size_t events_ = 0;
  std::uint64_t begun_ = 0;  // refreshes
  std::uint64_t done_ = 0;   // the newest that succeeded
};

}  // namespace hearth::likes
