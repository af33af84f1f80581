#pragma once

// A non-blocking TCP socket, and nothing else: the plain calls, without exceptions or an event loop.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::http {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket();

  enum class Outcome { kDone, kWouldBlock, kFailed };
  struct Transfer {
    Outcome outcome;
    std::size_t bytes = 0;  // read: kDone with none means that the peer has sent all it will
  };
  Transfer read(char* into, std::size_t size);
  Transfer write(std::string_view bytes);

  void finish_writing();  // the peer sees the end after what was written
  void close_hard();      // what was not yet taken by the peer is dropped

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct PeerAddress {
  std::string text;  // without port
  bool is_loopback = false;
};

// An accepted connection; kWouldBlock: none waits; kFailed: no descriptor or memory is left for it.
struct Accepted {
  Socket::Outcome outcome;
  Socket socket = {};
  PeerAddress peer = {};
};
Accepted accept_from(const Socket& listener);

// Listeners on one address that share its connections (SO_REUSEPORT). Fails when another process listens there: the
// kernel would share its connections with us too. `port` 0 takes a free one and is set to it.
Result<std::vector<Socket>> listen_on(const std::string& host, std::uint16_t& port, int count);

}  // namespace hearth::http
