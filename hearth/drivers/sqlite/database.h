#pragma once

// A database file for coroutines: reads on a small pool of threads, writes on one thread of their own.
//
//   auto post = co_await database.read([id](Connection& c) -> Result<Post> { … });
//   auto made = co_await database.write([…](Connection& c) -> Result<Post> { … });
//
// Writes that wait together are committed together: each runs in a savepoint of one transaction, and all are answered
// after its one sync. A write that fails takes back only its own savepoint; a commit that fails fails them all.
//
// Thread-safe. stop() refuses new work (kUnavailable), finishes what is queued, and joins; it is safe twice.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::sqlite {

struct DatabaseOptions {
  std::filesystem::path path;
  std::string vfs;
  std::span<const std::string_view> migrations;
  int reader_threads = 2;
  std::size_t queued_max = 10'000;  // of reads, and of writes; more is kUnavailable
};

class Database {
 public:
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

  // The rest is the helper's to design (private state, template bodies).
};

}  // namespace hearth::sqlite
