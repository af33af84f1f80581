#include "hearth/http/poller.h"

#include <sys/epoll.h>

#include <array>

#include "hearth/base/assert.h"

namespace hearth::http {
namespace {

constexpr int kEventsPerWakeUp = 256;

}  // namespace

Poller::Poller(boost::asio::io_context& context) : epoll_(context.get_executor()) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  HEARTH_ASSERT(fd >= 0);
  epoll_.assign(fd);
}

void Poller::add(int fd, std::uint32_t events, Pollable& pollable) {
  epoll_event event{.events = events, .data = {.ptr = &pollable}};
  HEARTH_ASSERT(epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0);
}

void Poller::remove(int fd) {
  epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
}

void Poller::start() {
  wait();
}

void Poller::stop() {
  is_stopped_ = true;
  epoll_.cancel();
}

void Poller::wait() {
  if (is_stopped_) return;  // stop() was called by a Pollable
  epoll_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    dispatch();
    wait();
  });
}

void Poller::dispatch() {
  std::array<epoll_event, kEventsPerWakeUp> events;
  int ready = epoll_wait(epoll_.native_handle(), events.data(), kEventsPerWakeUp, 0);
  for (int i = 0; i < ready; ++i) static_cast<Pollable*>(events[i].data.ptr)->on_ready(events[i].events);
}

}  // namespace hearth::http
