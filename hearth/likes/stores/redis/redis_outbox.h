#pragma once

// The outbox in Redis: a stream for each partition. An entry is one event, as change.lua writes it.
//
// Reading begins at the entry where the reader is, so that a stream which lost its tail, or is another one, is noticed.
// What returns no Task blocks: for background threads. Thread-safe.

#include <cstdint>
#include <string>
#include <vector>

#include "hearth/drivers/redis/client.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/stores/redis/redis_keys.h"

namespace hearth::likes {

// A LikeChanged that owns its names.
struct StreamEvent {
  outbox::Position position;
  std::string text;  // the entry's content; `event` points into it
  outbox::LikeChanged event;

  StreamEvent(outbox::Position at, std::string content);
  StreamEvent(StreamEvent&& other) noexcept;
  StreamEvent& operator=(StreamEvent&&) = delete;
  bool is_valid() const { return !event.post.empty(); }
};

struct StreamPage {
  bool is_same = true;              // false: the stream does not hold what the cursor has seen, and nothing was read
  std::vector<StreamEvent> events;  // after the cursor; also those that are not valid
};

// Of the last entries, for a cursor.
std::uint64_t entry_checksum(const StreamEvent& event);

class RedisOutbox {
 public:
  RedisOutbox(redis::Client& client, RedisKeys keys) : client_(client), keys_(keys) {}

  outbox::Partition partitions() const { return keys_.partitions(); }
  Result<StreamPage> read(outbox::Partition partition, const LedgerCursor& after, std::size_t limit,
                          redis::Admission admission = redis::Admission::kNeeded);
  // Up to `limit` entries of each partition after its position.
  Task<Result<std::vector<std::vector<StreamEvent>>>> read_after(std::vector<outbox::Position> after, std::size_t limit);
  // The newest entry of each partition; {0, 0} for an empty one.
  Task<Result<std::vector<outbox::Position>>> ends();
  // Entries before `position` may go; the one there stays.
  Result<void> trim(outbox::Partition partition, outbox::Position position);
  // How many entries all streams hold.
  Result<std::uint64_t> size();

 private:
  redis::Client& client_;
  const RedisKeys keys_;
};

}  // namespace hearth::likes
