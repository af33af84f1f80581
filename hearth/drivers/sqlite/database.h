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

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
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

  // One piece of work, and who waits for its answer.
  class Job {
   public:
    virtual ~Job() = default;
    // Does the work and keeps its answer; says whether it is a failed one.
    virtual Result<void> run(Connection& connection) = 0;
    // Makes `error` the answer, whatever it was.
    virtual void fail(const Error& error) = 0;
    // Hands the answer over; the last call. REQUIRES: run() returned, or fail().
    virtual void deliver() = 0;
  };
  template <typename Work, typename Deliver>
  class JobOf;
  template <typename Handler>
  struct Resume;
  template <typename Answer>
  struct Fulfil;
  class Impl;

  explicit Database(std::unique_ptr<Impl> impl);
  void submit(Kind kind, std::unique_ptr<Job> job);
  template <typename Work>
  auto when_done(Kind kind, Work work);
  template <typename Work>
  auto block_until_done(Kind kind, Work work);

  std::unique_ptr<Impl> impl_;
};

// --- implementation of the templates ---

template <typename Work, typename Deliver>
class Database::JobOf final : public Job {
 public:
  JobOf(Work work, Deliver deliver) : work_(std::move(work)), deliver_(std::move(deliver)) {}

  Result<void> run(Connection& connection) override {
    answer_.emplace(work_(connection));
    if (!*answer_) return std::unexpected(answer_->error());
    return {};
  }
  void fail(const Error& error) override { answer_.emplace(std::unexpected(error)); }
  void deliver() override { deliver_(*std::move(answer_)); }

 private:
  Work work_;
  Deliver deliver_;
  std::optional<std::invoke_result_t<Work, Connection&>> answer_;
};

// Resumes a coroutine on its own io_context.
template <typename Handler>
struct Database::Resume {
  Handler handler;

  template <typename Answer>
  void operator()(Answer answer) {
    Executor executor = handler.get_executor();
    boost::asio::post(executor,
                      [waiting = std::move(handler), answer = std::move(answer)]() mutable { std::move(waiting)(std::move(answer)); });
  }
};

// Wakes a thread that blocks.
template <typename Answer>
struct Database::Fulfil {
  std::promise<Answer> promise;

  void operator()(Answer answer) { promise.set_value(std::move(answer)); }
};

template <typename Work>
auto Database::when_done(Kind kind, Work work) {
  using Answer = std::invoke_result_t<Work, Connection&>;
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>, void(Answer)>(
      [this, kind, work = std::move(work)](auto handler) mutable {
        using Handler = decltype(handler);
        submit(kind, std::make_unique<JobOf<Work, Resume<Handler>>>(std::move(work), Resume<Handler>{std::move(handler)}));
      },
      use_task);
}

template <typename Work>
auto Database::block_until_done(Kind kind, Work work) {
  using Answer = std::invoke_result_t<Work, Connection&>;
  Fulfil<Answer> fulfil;
  auto answer = fulfil.promise.get_future();
  submit(kind, std::make_unique<JobOf<Work, Fulfil<Answer>>>(std::move(work), std::move(fulfil)));
  return answer.get();
}

template <typename Work>
Task<std::invoke_result_t<Work, Connection&>> Database::read(Work work) {
  return when_done(Kind::kRead, std::move(work));
}

template <typename Work>
Task<std::invoke_result_t<Work, Connection&>> Database::write(Work work) {
  return when_done(Kind::kWrite, std::move(work));
}

template <typename Work>
std::invoke_result_t<Work, Connection&> Database::read_blocking(Work work) {
  return block_until_done(Kind::kRead, std::move(work));
}

template <typename Work>
std::invoke_result_t<Work, Connection&> Database::write_blocking(Work work) {
  return block_until_done(Kind::kWrite, std::move(work));
}

}  // namespace hearth::sqlite
