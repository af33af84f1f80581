#pragma once

// For tests: ways to run coroutines to their end, or up to where they wait.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"

namespace hearth::outbox {

// Event loops on which coroutines are run to their end. They outlive the journal and the ledger that wake them.
class Loops {
 public:
  explicit Loops(std::size_t count = 1) {
    for (std::size_t i = 0; i < count; ++i) loops_.emplace_back(1);
  }
  boost::asio::io_context& operator[](std::size_t i) { return loops_[i % loops_.size()]; }

  // Starts `task` on loop `i` as soon as that runs, and keeps what it threw.
  void spawn(std::size_t i, Task<void> task) {
    boost::asio::co_spawn((*this)[i], std::move(task), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  // Each loop on a thread of its own, until all that was spawned has ended.
  void run() {
    std::vector<std::thread> threads;
    for (auto& loop : loops_) {
      threads.emplace_back([&loop] {
        loop.restart();
        loop.run();
      });
    }
    for (auto& thread : threads) thread.join();
  }
  // Runs what can go on now on the calling thread; what waits for another thread stays.
  void poll() {
    for (auto& loop : loops_) {
      loop.restart();
      while (loop.poll() != 0) {
      }
    }
  }
  // The same until `is_done`, which another thread's work brings about.
  template <typename Question>
  void poll_until(Question is_done) {
    for (poll(); !is_done(); poll()) std::this_thread::yield();
  }

 private:
  std::deque<boost::asio::io_context> loops_;
};

// A coroutine that was started, and its answer once it has one.
template <typename T>
struct Started {
  std::optional<T> answer;
  bool is_answered() const { return answer.has_value(); }
};

template <typename T>
std::shared_ptr<Started<T>> start(boost::asio::io_context& loop, Task<T> task) {
  auto started = std::make_shared<Started<T>>();  // shared: by the test that looks, and by the coroutine's end
  boost::asio::co_spawn(loop, std::move(task), [started](std::exception_ptr thrown, T value) {
    if (thrown) std::rethrow_exception(thrown);
    started->answer = std::move(value);
  });
  return started;
}

// Runs `task` to its end on the calling thread. REQUIRES: what wakes it is stopped before the thread ends.
template <typename T>
T run(Task<T> task) {
  thread_local boost::asio::io_context loop(1);
  auto started = start(loop, std::move(task));
  loop.restart();
  loop.run();
  return std::move(*started->answer);
}

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace hearth::outbox
