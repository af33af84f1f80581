#pragma once

// Runs a coroutine from a thread that may block: commands, and tests.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "hearth/base/guarded.h"
#include "hearth/base/task.h"

namespace hearth {

namespace internal {

// An io_context for one coroutine at a time. They are used again and never destroyed: the thread that wakes a coroutine
// may still be on its way out of the io_context when the coroutine has ended.
class BorrowedLoop {
 public:
  BorrowedLoop() {
    loop_ = idle().with([](Loops& loops) {
      if (loops.empty()) return std::make_unique<boost::asio::io_context>(1);
      auto loop = std::move(loops.back());
      loops.pop_back();
      return loop;
    });
  }
  BorrowedLoop(const BorrowedLoop&) = delete;
  BorrowedLoop& operator=(const BorrowedLoop&) = delete;
  ~BorrowedLoop() {
    loop_->restart();
    idle().with([this](Loops& loops) { loops.push_back(std::move(loop_)); });
  }
  boost::asio::io_context& operator*() { return *loop_; }

 private:
  using Loops = std::vector<std::unique_ptr<boost::asio::io_context>>;
  static Guarded<Loops>& idle() {
    static auto& loops = *new Guarded<Loops>();
    return loops;
  }
  std::unique_ptr<boost::asio::io_context> loop_;
};

// A result needs no default constructor this way.
template <typename T>
Task<void> keep(Task<T> task, std::optional<T>& result) {
  result = co_await std::move(task);
}

}  // namespace internal

// Runs `task` on an io_context of its own and returns what it returns, or throws what it throws.
template <typename T>
T run_to_end(Task<T> task) {
  internal::BorrowedLoop loop;
  std::optional<T> result;
  std::exception_ptr failure;
  boost::asio::co_spawn(*loop, internal::keep(std::move(task), result), [&](std::exception_ptr thrown) { failure = thrown; });
  (*loop).run();
  if (failure) std::rethrow_exception(failure);
  return *std::move(result);
}

}  // namespace hearth
