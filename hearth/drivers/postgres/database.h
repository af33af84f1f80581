#pragma once

// A PostgreSQL database for coroutines: a pool of threads with one connection each. The twin of sqlite::Database.
//
//   auto post = co_await database.read([id](Connection& c) -> Result<Post> { … });
//   auto made = co_await database.write([…](Connection& c) -> Result<Post> { … });
//
// read() is one read-only snapshot (REPEATABLE READ), write() one transaction (READ COMMITTED) that is rolled back when
// the work fails. Work runs on a thread of the pool, captures by value, and must not wait for this database itself. A
// Failure or another exception that leaves it becomes the Error of its caller.
//
// Work may run more than once, and must have no other effect: again where the server asks to repeat a transaction
// (serialization failure, deadlock), and on a new connection when one was lost before the commit. A write whose commit got
// no answer is kUnavailable: whether it happened is not known, and it is not repeated.
//
// Lost connections are made again with back-off and jitter; work that finds none within connect_wait gets kUnavailable, and
// once the server has been away for longer, at once. One piece of work may wait for connect_timeout, while it tries.
//
// Thread-safe. stop() refuses new work (kUnavailable), finishes what is queued, and joins; it is safe twice. The
// io_contexts of the coroutines that wait outlive stop().

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/base/work.h"
#include "hearth/drivers/postgres/connection.h"

namespace hearth::postgres {

struct DatabaseOptions {
  std::string url = {};  // postgres://…, as libpq reads it
  int connections = 4;
  std::chrono::milliseconds statement_timeout{30'000};
  std::chrono::milliseconds connect_timeout{10'000};  // rounded up to seconds
  std::chrono::milliseconds connect_wait{2'000};      // for a lost connection to come back
  std::size_t queued_max = 10'000;
};

class Database {
 public:
  // Does not connect yet; ping_blocking() does. kInvalidArgument: the URL.
  static Result<std::unique_ptr<Database>> open(DatabaseOptions options);
  ~Database();

  // `work(Connection&)` returns Result<T>.
  template <typename Work>
  Task<std::invoke_result_t<Work&, Connection&>> read(Work work);
  template <typename Work>
  Task<std::invoke_result_t<Work&, Connection&>> write(Work work);
  // The same for threads that may block, as background tasks.
  template <typename Work>
  std::invoke_result_t<Work&, Connection&> read_blocking(Work work);
  template <typename Work>
  std::invoke_result_t<Work&, Connection&> write_blocking(Work work);

  // For work that many wait for. Its deliver() is called on a thread of the pool, or before this returns, if it is refused.
  void write_item(std::unique_ptr<WorkItem<Connection>> item) { submit(Connection::Access::kWrite, std::move(item)); }

  // kUnavailable: the server cannot be reached now.
  Result<void> ping_blocking();
  // Whether the last attempt to use or make a connection succeeded. False before the first.
  bool is_connected() const;

  struct Stats {
    std::uint64_t connections = 0;   // now
    std::uint64_t connects = 0;      // ever made: those beyond the pool's size were made again
    std::uint64_t transactions = 0;  // reads too
    std::uint64_t failures = 0;      // of them
    std::uint64_t micros = 0;        // from a thread's taking one to its answer, summed
  };
  Stats stats() const;
  void stop();

 private:
  class Impl;

  explicit Database(std::unique_ptr<Impl> impl);
  void submit(Connection::Access access, std::unique_ptr<WorkItem<Connection>> item);
  auto submitting(Connection::Access access) {
    return [this, access](std::unique_ptr<WorkItem<Connection>> item) { submit(access, std::move(item)); };
  }

  std::unique_ptr<Impl> impl_;
};

// --- implementation of the templates ---

template <typename Work>
Task<std::invoke_result_t<Work&, Connection&>> Database::read(Work work) {
  return when_done<Connection>(submitting(Connection::Access::kRead), std::move(work));
}

template <typename Work>
Task<std::invoke_result_t<Work&, Connection&>> Database::write(Work work) {
  return when_done<Connection>(submitting(Connection::Access::kWrite), std::move(work));
}

template <typename Work>
std::invoke_result_t<Work&, Connection&> Database::read_blocking(Work work) {
  return block_until_done<Connection>(submitting(Connection::Access::kRead), std::move(work));
}

template <typename Work>
std::invoke_result_t<Work&, Connection&> Database::write_blocking(Work work) {
  return block_until_done<Connection>(submitting(Connection::Access::kWrite), std::move(work));
}

}  // namespace hearth::postgres
