#pragma once

// Work for the threads of a database, and its way back: to a coroutine, or to a thread that blocks.
//
// Work is `Result<T>(Context&)`, where Context is what a thread has of its own: a connection. It captures by value.

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"

namespace hearth {

// One piece of work, and who waits for its answer.
template <typename Context>
class WorkItem {
 public:
  virtual ~WorkItem() = default;
  // Does the work and keeps its answer; says whether it is a failed one. May be called again, if the work allows it.
  virtual Result<void> run(Context& context) = 0;
  // Makes `error` the answer, whatever it was.
  virtual void fail(const Error& error) = 0;
  // Hands the answer over; the last call. REQUIRES: run() returned, or fail().
  virtual void deliver() = 0;
};

// Calls `submit` with an item of this work and waits for its answer without blocking: co_await it. The coroutine resumes on
// its own io_context, which outlives the item.
template <typename Context, typename Submit, typename Work>
auto when_done(Submit submit, Work work);
// The same for threads that may block.
template <typename Context, typename Submit, typename Work>
auto block_until_done(Submit submit, Work work);

// What waits for a thread, in the order it came. Thread-safe.
template <typename Item>
class WorkQueue {
 public:
  explicit WorkQueue(std::size_t queued_max) : queued_max_(queued_max) {}

  // kUnavailable: full or closed, and `item` stays with the caller.
  Result<void> push(Item& item) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return fail(ErrorCode::kUnavailable, "the database is stopping");
      if (items_.size() >= queued_max_) return fail(ErrorCode::kUnavailable, "the database has too much to do");
      items_.push_back(std::move(item));
    }
    changed_.notify_one();
    return {};
  }

  // Waits for items and takes up to `count_max`; none once the queue is closed and empty.
  std::vector<Item> take(std::size_t count_max) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    auto end = items_.begin() + static_cast<std::ptrdiff_t>(std::min(count_max, items_.size()));
    std::vector<Item> taken(std::make_move_iterator(items_.begin()), std::make_move_iterator(end));
    items_.erase(items_.begin(), end);
    return taken;
  }

  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

 private:
  const std::size_t queued_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool closed_ = false;
};

// --- implementation of the templates ---

namespace internal {

template <typename Context, typename Work, typename Deliver>
class WorkItemOf final : public WorkItem<Context> {
 public:
  WorkItemOf(Work work, Deliver deliver) : work_(std::move(work)), deliver_(std::move(deliver)) {}

  Result<void> run(Context& context) override {
    answer_.emplace(work_(context));
    if (!*answer_) return std::unexpected(answer_->error());
    return {};
  }
  void fail(const Error& error) override { answer_.emplace(std::unexpected(error)); }
  void deliver() override { deliver_(*std::move(answer_)); }

 private:
  Work work_;
  Deliver deliver_;
  std::optional<std::invoke_result_t<Work&, Context&>> answer_;
};

// Resumes a coroutine on its own io_context.
template <typename Handler>
struct Resume {
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
struct Fulfil {
  std::promise<Answer> promise;

  void operator()(Answer answer) { promise.set_value(std::move(answer)); }
};

}  // namespace internal

template <typename Context, typename Submit, typename Work>
auto when_done(Submit submit, Work work) {
  using Answer = std::invoke_result_t<Work&, Context&>;
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>, void(Answer)>(
      [submit = std::move(submit), work = std::move(work)](auto handler) mutable {
        using Deliver = internal::Resume<decltype(handler)>;
        submit(std::make_unique<internal::WorkItemOf<Context, Work, Deliver>>(std::move(work), Deliver{std::move(handler)}));
      },
      use_task);
}

template <typename Context, typename Submit, typename Work>
auto block_until_done(Submit submit, Work work) {
  using Answer = std::invoke_result_t<Work&, Context&>;
  using Deliver = internal::Fulfil<Answer>;
  Deliver deliver;
  auto answer = deliver.promise.get_future();
  submit(std::make_unique<internal::WorkItemOf<Context, Work, Deliver>>(std::move(work), std::move(deliver)));
  return answer.get();
}

}  // namespace hearth
