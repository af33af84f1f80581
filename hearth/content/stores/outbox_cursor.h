#pragma once

// How far a consumer in content.db has read the outbox. Written in the transaction of what it made of the entries.

#include <cstdint>

#include "hearth/drivers/sqlite/connection.h"

namespace hearth::content {

inline constexpr char kContentConsumer[] = "content";  // LikeProjection

struct OutboxCursor {
  std::uint64_t sequence = 0;  // the last entry that was applied
  std::uint64_t checksum = 0;  // of that entry; 0 if it was not in the log
  std::uint64_t steps = 0;     // how often the consumer wrote
};

OutboxCursor read_cursor(sqlite::Connection& connection, const char* consumer);
void write_cursor(sqlite::Connection& connection, const char* consumer, const OutboxCursor& cursor);

}  // namespace hearth::content
