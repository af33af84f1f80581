#include "hearth/http/worker.h"

#include <sys/epoll.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "hearth/base/log.h"
#include "hearth/base/thread_name.h"
#include "hearth/http/response_writer.h"

namespace hearth::http {
namespace {

constexpr int kAcceptsPerWakeUp = 64;
constexpr std::size_t kRefusedAtOnceMax = 64;  // connections over the limit that get an answer; others are just closed

void on_connection_end(const std::exception_ptr& error) {
  if (!error) return;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& failure) {
    log::error("http", "a connection failed", {{"error", failure.what()}});
  }
}

std::uint64_t mixed(std::uint64_t state) {  // splitmix64's output function
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebu;
  return state ^ (state >> 31);
}

}  // namespace

Worker::Worker(Shared& shared, Socket listener, std::uint64_t seed) : shared_(shared), id_state_(seed), listener_(std::move(listener)) {
  date_ = date_line(unix_seconds());
}

Worker::~Worker() = default;

std::int64_t Worker::unix_seconds() const {
  return std::chrono::floor<std::chrono::seconds>(shared_.clock.now()).time_since_epoch().count();
}

void Worker::start() {
  poller_.start();
  listen();
  schedule_sweep();
  thread_ = std::thread([this] {
    name_thread("http");
    context_.run();
  });
}

void Worker::stop(std::chrono::milliseconds grace) {
  boost::asio::post(context_, [this, grace] { begin_stop(grace); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::listen() {
  is_listening_ = true;
  poller_.add(listener_.fd(), EPOLLIN, *this);
}

void Worker::on_ready(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerWakeUp; ++i) {
    auto accepted = accept_from(listener_);
    if (accepted.outcome == Socket::Outcome::kWouldBlock) return;
    if (accepted.outcome == Socket::Outcome::kFailed) {
      log::warning("http", "no descriptor or memory is left for another connection");
      poller_.remove(listener_.fd());  // until the next sweep
      is_listening_ = false;
      return;
    }
    welcome(std::move(accepted));
  }
}

void Worker::welcome(Accepted accepted) {
  bool is_refused = shared_.connections.load(std::memory_order_relaxed) >= shared_.options.connections_max;
  if (is_refused) {
    shared_.refused_connections.fetch_add(1, std::memory_order_relaxed);
    if (refused_ >= kRefusedAtOnceMax) return;
  }
  int fd = accepted.socket.fd();
  auto connection = std::make_unique<Connection>(*this, std::move(accepted.socket), std::move(accepted.peer), is_refused);
  poller_.add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *connection);
  boost::asio::co_spawn(context_, Connection::serve(std::move(connection)), on_connection_end);
}

void Worker::add(Connection& connection, bool is_refused) {
  connection.place = connections_.size();
  connections_.push_back(&connection);
  if (is_refused) {
    ++refused_;
  } else {
    shared_.connections.fetch_add(1, std::memory_order_relaxed);
  }
}

void Worker::remove(Connection& connection, bool is_refused) {
  connections_.back()->place = connection.place;
  connections_[connection.place] = connections_.back();
  connections_.pop_back();
  if (is_refused) {
    --refused_;
  } else {
    shared_.connections.fetch_sub(1, std::memory_order_relaxed);
  }
  finish_if_empty();
}

bool Worker::resize_large_body(std::size_t before, std::size_t now) {
  if (before == now) return true;
  auto change = now - before;  // a smaller body wraps around, and so does the sum
  return shared_.large_bodies_bytes.fetch_add(change, std::memory_order_relaxed) + change <= shared_.options.large_bodies_bytes_max;
}

void Worker::write_request_id(char (&id)[16]) {
  id_state_ += 0x9e3779b97f4a7c15u;
  auto bits = mixed(id_state_);
  for (char& digit : id) {
    digit = "0123456789abcdef"[bits & 15];
    bits >>= 4;
  }
}

std::uint64_t Worker::tick_after(std::chrono::milliseconds timeout) const {
  auto period = shared_.options.sweep_period;
  return tick_ + static_cast<std::uint64_t>((timeout + period - std::chrono::milliseconds(1)) / period) + 1;
}

void Worker::schedule_sweep() {
  sweep_timer_.expires_after(shared_.options.sweep_period);
  sweep_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    sweep();
    if (!is_finished_) schedule_sweep();
  });
}

void Worker::sweep() {
  ++tick_;
  date_ = date_line(unix_seconds());
  if (!is_listening_ && !is_stopping_) listen();
  each_connection([this](Connection& connection) { connection.sweep(tick_); });
}

// From the back, because a connection that ends leaves its place to the last one.
template <typename Use>
void Worker::each_connection(const Use& use) {
  for (std::size_t i = connections_.size(); i-- > 0;) use(*connections_[i]);
}

void Worker::begin_stop(std::chrono::milliseconds grace) {
  is_stopping_ = true;
  if (is_listening_) poller_.remove(listener_.fd());
  listener_ = Socket();
  grace_timer_.expires_after(grace);
  grace_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) give_up();
  });
  each_connection([](Connection& connection) { connection.stop(); });
  finish_if_empty();
}

void Worker::give_up() {
  each_connection([](Connection& connection) { connection.abort(); });
  if (connections_.empty()) return;
  log::warning("http", "stopped before all requests were answered", {{"requests", connections_.size()}});
  has_given_up_ = true;
  context_.stop();
}

void Worker::finish_if_empty() {
  if (!is_stopping_ || has_given_up_ || !connections_.empty()) return;
  is_finished_ = true;
  sweep_timer_.cancel();
  grace_timer_.cancel();
  poller_.stop();
}

}  // namespace hearth::http
