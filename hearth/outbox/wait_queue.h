#pragma once

// The coroutines of one io_context that wait for a batch.
//
// Only the thread of that io_context touches the list, so it needs no lock. The commit thread posts one wake-up per
// io_context and commit, however many wait: a post for each waiter cost more than the commit itself.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "hearth/base/task.h"

namespace hearth::outbox {

class WaitQueue {
 public:
  // `settled` is the newest batch whose fate is known; it outlives the queue.
  WaitQueue(Executor executor, const std::atomic<std::uint64_t>& settled) : executor_(executor), settled_(settled) {}

  // Returns once `settled` has reached `sequence`. On the io_context's thread only.
  Task<void> wait(std::uint64_t sequence);
  // `settled` has grown. Any thread.
  void notify();

  const boost::asio::io_context* context() const { return &executor_.context(); }

 private:
  struct Waiter {
    explicit Waiter(std::uint64_t s) : sequence(s) {}
    virtual ~Waiter() = default;
    virtual void resume() = 0;
    std::uint64_t sequence;
  };
  template <typename Handler>
  struct HandlerWaiter;

  void add(std::unique_ptr<Waiter> waiter);
  void resume_settled();

  Executor executor_;
  const std::atomic<std::uint64_t>& settled_;
  std::vector<std::unique_ptr<Waiter>> waiters_;
  std::atomic<bool> wants_notice_{false};
};

}  // namespace hearth::outbox
