#include "hearth/jobs/job_signal.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

namespace hearth::jobs {
namespace {

using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

constexpr std::chrono::milliseconds kWaitMax = std::chrono::hours(24);  // so that now and it can be added

}  // namespace

class JobSignal::Impl {
 public:
  void notify() {
    std::lock_guard lock(mutex_);
    ++count_;
    wake_all();
  }

  void close() {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    wake_all();
  }

  bool is_closed() {
    std::lock_guard lock(mutex_);
    return is_closed_;
  }

  std::uint64_t count() {
    std::lock_guard lock(mutex_);
    return count_;
  }

  std::uint64_t wait(std::uint64_t seen, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::min(timeout, kWaitMax), [&] { return is_over(seen); });
    return count_;
  }

  Task<std::uint64_t> wait_async(std::uint64_t seen, std::chrono::milliseconds timeout) {
    auto timer = std::make_shared<Timer>(co_await boost::asio::this_coro::executor, std::min(timeout, kWaitMax));
    Place place(*this, seen, timer);
    if (place.is_taken()) co_await timer->async_wait(boost::asio::as_tuple(use_task));
    co_return count();
  }

 private:
  using Waiting = std::map<std::uint64_t, std::shared_ptr<Timer>>;

  // Of a coroutine among those that wait. It is given up with the coroutine.
  class Place {
   public:
    Place(Impl& signal, std::uint64_t seen, std::shared_ptr<Timer> timer) : signal_(signal) {
      std::lock_guard lock(signal_.mutex_);
      if (signal_.is_over(seen)) return;
      number_ = ++signal_.last_place_;
      signal_.waiting_.emplace(number_, std::move(timer));
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      if (!is_taken()) return;
      std::lock_guard lock(signal_.mutex_);
      signal_.waiting_.erase(number_);
    }
    bool is_taken() const { return number_ != 0; }

   private:
    Impl& signal_;
    std::uint64_t number_ = 0;  // 0: none
  };

  bool is_over(std::uint64_t seen) const { return is_closed_ || count_ > seen; }

  // With the lock held: a coroutine that has left its place is posted nothing any more. A timer belongs to the thread of its
  // coroutine, which has begun to wait when it comes to what is posted here.
  void wake_all() {
    changed_.notify_all();
    for (auto& [number, timer] : waiting_) {
      auto executor = timer->get_executor();
      boost::asio::post(executor, [woken = std::move(timer)] { woken->cancel(); });
    }
    waiting_.clear();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0;
  std::uint64_t last_place_ = 0;
  bool is_closed_ = false;
  Waiting waiting_;
};

JobSignal::JobSignal() : impl_(std::make_unique<Impl>()) {}
JobSignal::~JobSignal() = default;

void JobSignal::notify() {
  impl_->notify();
}
std::uint64_t JobSignal::count() const {
  return impl_->count();
}
std::uint64_t JobSignal::wait(std::uint64_t seen, std::chrono::milliseconds timeout) {
  return impl_->wait(seen, timeout);
}
Task<std::uint64_t> JobSignal::wait_async(std::uint64_t seen, std::chrono::milliseconds timeout) {
  return impl_->wait_async(seen, timeout);
}
void JobSignal::close() {
  impl_->close();
}
bool JobSignal::is_closed() const {
  return impl_->is_closed();
}

}  // namespace hearth::jobs
