#include "hearth/content/stores/outbox_cursor.h"

namespace hearth::content {
namespace {

constexpr char kRead[] = "SELECT sequence, checksum, steps FROM outbox_cursors WHERE consumer = ?1";
constexpr char kWrite[] = "INSERT OR REPLACE INTO outbox_cursors (consumer, sequence, checksum, steps) VALUES (?1, ?2, ?3, ?4)";

}  // namespace

// SQLite's integers are signed: a checksum is kept with the same 64 bits.

OutboxCursor read_cursor(sqlite::Connection& connection, const char* consumer) {
  auto& row = connection.statement(kRead).query(consumer);
  if (!row.next()) return {};
  OutboxCursor cursor{static_cast<std::uint64_t>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1)),
                      static_cast<std::uint64_t>(row.integer(2))};
  row.reset();
  return cursor;
}

void write_cursor(sqlite::Connection& connection, const char* consumer, const OutboxCursor& cursor) {
  connection.statement(kWrite).run(consumer, cursor.sequence, cursor.checksum, cursor.steps);
}

}  // namespace hearth::content
