#pragma once

// HTTP/1.1 on Beast's parser and Asio's coroutines: one io_context a thread, each with its own listening socket
// (SO_REUSEPORT), keep-alive and pipelining. Handlers run on the io_context thread of their connection.
//
// Nothing grows without limit: header bytes, body bytes, connections, idle time and the time a request may take to arrive
// are bounded by ServerOptions; what breaks a limit is answered (408, 413, 503) or closed.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/http/router.h"

namespace hearth::http {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any free one
  int threads = 0;            // 0: one a core
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t body_bytes_max = 1024 * 1024;
  std::size_t large_bodies_bytes_max = 256 * 1024 * 1024;  // of all bodies above 64 KiB at once; over it 503
  std::size_t connections_max = 10'000;
  std::chrono::milliseconds idle_timeout{60'000};     // between requests
  std::chrono::milliseconds request_timeout{15'000};  // from a request's first byte to its last
  std::chrono::milliseconds write_timeout{15'000};    // for the peer to take an answer
  // How often deadlines are looked at, thus how late one may be noticed. Time is counted in sweeps, not read from a
  // clock: it costs a request nothing, and a process that was stopped for a minute does not time out its clients.
  std::chrono::milliseconds sweep_period{500};
  std::vector<std::string> cors_origins;  // exact origins, or "*"
};

class Server {
 public:
  // Binds and listens; nothing is accepted before start(). `router` and `clock` (for the Date field) outlive the server.
  static Result<std::unique_ptr<Server>> open(ServerOptions options, const Router& router, const Clock& clock);
  ~Server();

  std::uint16_t port() const;
  void start();
  // Accepts no more, lets requests in flight be answered for up to `grace`, then closes all and joins. Safe twice.
  // A handler that still waits then is never resumed; what it waits for may call its io_context until ~Server.
  void stop(std::chrono::milliseconds grace);

  struct Stats {
    std::uint64_t connections = 0;  // open now
    std::uint64_t requests = 0;     // answered
    std::uint64_t refused_connections = 0;
  };
  Stats stats() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::http
