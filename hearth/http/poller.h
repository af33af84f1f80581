#pragma once

// Watches the sockets of one thread for its io_context.
//
// Asio's own sockets cost a request one failing recv() and several trips through its queues. Here all sockets sit in an
// epoll set of their own, which the io_context watches as one descriptor: a wake-up is paid once for all sockets that are
// ready, and a request costs one recv() and one send(). Sockets are edge-triggered and registered once.
//
// Belongs to the one thread of its io_context.

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstdint>
#include <optional>

#include "hearth/base/task.h"

namespace hearth::http {

class Pollable {
 public:
  // `events` as of epoll. May destroy this, but no other Pollable.
  virtual void on_ready(std::uint32_t events) = 0;

 protected:
  ~Pollable() = default;
};

class Poller {
 public:
  explicit Poller(boost::asio::io_context& context);

  // Watching ends when the descriptor is closed, or with remove().
  void add(int fd, std::uint32_t events, Pollable& pollable);
  void remove(int fd);

  void start();
  void stop();  // after this the io_context may run out of work

 private:
  void wait();
  void dispatch();

  boost::asio::posix::basic_stream_descriptor<Executor> epoll_;
  bool is_stopped_ = false;
};

// Where one coroutine waits until it is called. Belongs to the thread of the coroutine's io_context.
class Parking {
 public:
  // REQUIRES: nobody waits here.
  Task<void> wait() {
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>&, void()>(
        [this](auto&& waiter) { waiter_.emplace(std::forward<decltype(waiter)>(waiter)); }, use_task);
  }
  // Goes on with the coroutine that waits, if one does. It may destroy this.
  void resume() {
    if (!waiter_) return;
    auto waiter = std::move(*waiter_);
    waiter_.reset();
    std::move(waiter)();
  }

 private:
  using Waiter = boost::asio::async_result<boost::asio::use_awaitable_t<Executor>, void()>::handler_type;
  std::optional<Waiter> waiter_;
};

}  // namespace hearth::http
