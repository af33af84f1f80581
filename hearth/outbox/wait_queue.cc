#include "hearth/outbox/wait_queue.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace hearth::outbox {

template <typename Handler>
struct WaitQueue::HandlerWaiter final : Waiter {
  HandlerWaiter(std::uint64_t s, Handler h) : Waiter(s), handler(std::move(h)) {}
  void resume() override { std::move(handler)(); }
  Handler handler;
};

Task<void> WaitQueue::wait(std::uint64_t sequence) {
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>, void()>(
      [this, sequence](auto handler) { add(std::make_unique<HandlerWaiter<decltype(handler)>>(sequence, std::move(handler))); }, use_task);
}

void WaitQueue::add(std::unique_ptr<Waiter> waiter) {
  std::uint64_t sequence = waiter->sequence;
  waiters_.push_back(std::move(waiter));
  // Ask for notice first and look second; notify() writes first and reads second: one of the two sees the other.
  wants_notice_.store(true);
  if (settled_.load() >= sequence) notify();
}

void WaitQueue::notify() {
  if (!wants_notice_.exchange(false)) return;
  boost::asio::post(executor_, [this] { resume_settled(); });
}

void WaitQueue::resume_settled() {
  std::uint64_t settled = settled_.load();
  std::vector<std::unique_ptr<Waiter>> ready;
  std::size_t kept = 0;
  for (auto& waiter : waiters_) {
    if (waiter->sequence <= settled) {
      ready.push_back(std::move(waiter));
    } else {
      std::swap(waiters_[kept++], waiter);
    }
  }
  waiters_.resize(kept);
  if (!waiters_.empty()) {
    wants_notice_.store(true);
    if (settled_.load() > settled) notify();
  }
  for (auto& waiter : ready) waiter->resume();  // may add new waiters
}

}  // namespace hearth::outbox
