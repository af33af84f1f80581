#pragma once

// Moves views from the journal to views.db.
//
// A batch and the cursor behind it are one transaction there, so that a crash repeats nothing.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/outbox/journal.h"
#include "hearth/views/stores/views_file.h"

namespace hearth::views {

inline constexpr std::size_t kViewFlushBytesMax = 16u << 20;  // of journal entries in one transaction: less than a second of work

class ViewFlusher {
 public:
  // `wake`: have run_once() called soon; on any thread. All outlive it.
  ViewFlusher(outbox::Journal& journal, ViewsFile& file, const Clock& clock, std::chrono::milliseconds window, std::function<void()> wake);
  ~ViewFlusher();

  // Reads where views.db stands. Warns if the journal is not the one that it has followed.
  Result<outbox::Sequence> start();

  // Moves one batch. True: it did not hold all that was durable when the call began. REQUIRES: start() succeeded; one thread at
  // a time.
  Result<bool> run_once();

  outbox::Sequence flushed() const { return flushed_; }  // views.db has everything up to here

  // Returns once views.db has all that was durable at the call; kUnavailable if a flush fails meanwhile. Thread-safe; the
  // coroutine resumes on its own io_context.
  Task<Result<void>> catch_up();
  // Drops the coroutines that wait for a flush. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters();

  struct Stats {
    std::uint64_t batches = 0;
    std::uint64_t events = 0;
    std::uint64_t items = 0;
    std::uint64_t micros = 0;  // summed
  };
  Stats stats() const;

 private:
  struct Waiter {
    explicit Waiter(outbox::Sequence s) : sequence(s) {}
    virtual ~Waiter() = default;
    virtual void resume(Result<void> outcome) = 0;  // posts to the waiter's executor
    outbox::Sequence sequence;
  };
  template <typename Handler>
  struct HandlerWaiter;

  Result<bool> move_batch();
  void resume_waiters(const Result<bool>& outcome);

  outbox::Journal& journal_;
  ViewsFile& file_;
  const Clock& clock_;
  const std::chrono::milliseconds window_;
  const std::function<void()> wake_;
  bool is_cursor_known_ = false;
  std::atomic<outbox::Sequence> flushed_{0};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Waiter>> waiters_;  // under mutex_; bounded by the requests under way
  std::atomic<std::uint64_t> batches_{0};
  std::atomic<std::uint64_t> events_{0};
  std::atomic<std::uint64_t> items_{0};
  std::atomic<std::uint64_t> micros_{0};
};

}  // namespace hearth::views
