#pragma once

// One thread of the server: its io_context, listening socket and connections.

#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/http/connection.h"
#include "hearth/http/cors.h"
#include "hearth/http/poller.h"
#include "hearth/http/router.h"
#include "hearth/http/server.h"
#include "hearth/http/socket.h"

namespace hearth::http {

// What the threads of a server have in common.
struct Shared {
  ServerOptions options;
  const Router& router;
  const Clock& clock;
  CorsPolicy cors;
  std::atomic<std::uint64_t> connections = 0;
  std::atomic<std::uint64_t> refused_connections = 0;
  std::atomic<std::size_t> large_bodies_bytes = 0;
};

class Worker final : private Pollable {
 public:
  // `seed` makes the ids of requests.
  Worker(Shared& shared, Socket listener, std::uint64_t seed);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  // Begins to stop; join() waits for the end, which comes at the latest after `grace`. Thread-safe.
  void stop(std::chrono::milliseconds grace);
  void join();
  std::uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }

  // The rest is for the connections of this thread.
  const ServerOptions& options() const { return shared_.options; }
  const Router& router() const { return shared_.router; }
  const CorsPolicy& cors() const { return shared_.cors; }
  bool is_stopping() const { return is_stopping_; }
  std::string_view date() const { return date_; }
  void count_request() { requests_.store(requests() + 1, std::memory_order_relaxed); }
  // A body that held `before` bytes holds `now`. False: all of them together hold more than they may.
  bool resize_large_body(std::size_t before, std::size_t now);
  void write_request_id(char (&id)[16]);
  // The tick at which `timeout` from now is surely over.
  std::uint64_t tick_after(std::chrono::milliseconds timeout) const;
  void add(Connection& connection, bool is_refused);
  void remove(Connection& connection, bool is_refused);

 private:
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

  void on_ready(std::uint32_t events) override;
  void listen();
  void welcome(Accepted accepted);
  void sweep();
  void schedule_sweep();
  void begin_stop(std::chrono::milliseconds grace);
  void give_up();
  void finish_if_empty();
  std::int64_t unix_seconds() const;
  template <typename Use>
  void each_connection(const Use& use);

  Shared& shared_;
  std::atomic<std::uint64_t> requests_ = 0;
  std::vector<Connection*> connections_;  // outlives the context, whose coroutines own them
  std::size_t refused_ = 0;               // of them
  std::string date_;
  std::uint64_t tick_ = 0;
  std::uint64_t id_state_;
  bool is_listening_ = false;
  bool is_stopping_ = false;
  bool is_finished_ = false;   // nothing is left that must run
  bool has_given_up_ = false;  // connections are left whose handlers never returned

  boost::asio::io_context context_{1};
  Poller poller_{context_};
  Timer sweep_timer_{context_};
  Timer grace_timer_{context_};
  Socket listener_;
  std::thread thread_;
};

}  // namespace hearth::http
