#pragma once

// A database file for coroutines: reads on a small pool of threads, writes on one thread of their own.
//
//   auto post = co_await database.read([id](Connection& c) -> Result<Post> { … });
//   auto made = co_await database.write([…](Connection& c) -> Result<Post> { … });
//
// Writes that wait together are committed together: each runs in a savepoint of one transaction, and all are answered
// after its one sync. A write that fails takes back only its own savepoint; a commit that fails fails them all.
//
// Work is moved to a thread of the database and runs there once: it captures by value, and must not wait for this
// database itself. A Failure or another exception that leaves it becomes the Error of its caller.
//
// Thread-safe. stop() refuses new work (kUnavailable), finishes what is queued, and joins; it is safe twice. The
// io_contexts of the coroutines that wait outlive stop().

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/base/work.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::sqlite {

struct DatabaseOptions {
  std::filesystem::path path = {};
  std::string vfs = {};
  std::span<const std::string_view> migrations = {};
  int reader_threads = 2;
  int writer_cache_kib = 16 * 1024;
  std::size_t queued_max = 10'000;  // of reads, and of writes; more is kUnavailable
};

class Database {
 public:
  // Opens the file and brings it to the newest schema.
  static Result<std::unique_ptr<Database>> open(DatabaseOptions options);
  ~Database();

  // `work(Connection&)` returns Result<T>; it runs inside one read snapshot.
  template <typename Work>
  Task<std::invoke_result_t<Work, Connection&>> read(Work work);
  // `work(Connection&)` returns Result<T>; a failed Result rolls its changes back.
  template <typename Work>
  Task<std::invoke_result_t<Work, Connection&>> write(Work work);

  // The same for threads that may block, as background tasks.
  template <typename Work>
  std::invoke_result_t<Work, Connection&> read_blocking(Work work);
  template <typename Work>
  std::invoke_result_t<Work, Connection&> write_blocking(Work work);

  void stop();

 private:
  enum class Kind : std::uint8_t { kRead, kWrite };

  class Impl;

  explicit Database(std::unique_ptr<Impl> impl);
  void submit(Kind kind, std::unique_ptr<WorkItem<Connection>> item);
  auto submitting(Kind kind) {
    return [this, kind](std::unique_ptr<WorkItem<Connection>> item) { submit(kind, std::move(item)); };
  }

  std::unique_ptr<Impl> impl_;
};

// --- implementation of the templates ---

template <typename Work>
Task<std::invoke_result_t<Work, Connection&>> Database::read(Work work) {
  return when_done<Connection>(submitting(Kind::kRead), std::move(work));
}

template <typename Work>
Task<std::invoke_result_t<Work, Connection&>> Database::write(Work work) {
  return when_done<Connection>(submitting(Kind::kWrite), std::move(work));
}

template <typename Work>
std::invoke_result_t<Work, Connection&> Database::read_blocking(Work work) {
  return block_until_done<Connection>(submitting(Kind::kRead), std::move(work));
}

template <typename Work>
std::invoke_result_t<Work, Connection&> Database::write_blocking(Work work) {
  return block_until_done<Connection>(submitting(Kind::kWrite), std::move(work));
}

}  // namespace hearth::sqlite
