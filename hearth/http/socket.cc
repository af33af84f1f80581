#include "hearth/http/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

namespace hearth::http {
namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptAttempts = 16;

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

Socket::Transfer outcome_of(ssize_t result) {
  if (result >= 0) return {Socket::Outcome::kDone, static_cast<std::size_t>(result)};
  return {would_block(errno) ? Socket::Outcome::kWouldBlock : Socket::Outcome::kFailed};
}

PeerAddress describe(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  in_addr v4{};
  if (address.ss_family == AF_INET) {
    v4 = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
      inet_ntop(AF_INET6, &v6, text, sizeof text);
      return {text, bool(IN6_IS_ADDR_LOOPBACK(&v6))};
    }
    std::memcpy(&v4, v6.s6_addr + 12, sizeof v4);
  }
  inet_ntop(AF_INET, &v4, text, sizeof text);
  return {text, (ntohl(v4.s_addr) >> 24) == 127};
}

std::unexpected<Error> cannot_listen(const std::string& host, std::uint16_t port, int error) {
  return fail(ErrorCode::kUnavailable,
              "cannot listen on " + host + ":" + std::to_string(port) + ": " + std::generic_category().message(error));
}

struct Binding {
  sockaddr_storage address{};
  socklen_t size = 0;
};

Result<Binding> resolve(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
    return fail(ErrorCode::kInvalidArgument, "cannot listen on " + host + ": " + gai_strerror(error));
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  Binding binding{.size = found->ai_addrlen};
  std::memcpy(&binding.address, found->ai_addr, found->ai_addrlen);
  return binding;
}

// errno tells why, if there is no socket.
Socket bind_socket(const Binding& binding, bool is_shared) {
  Socket socket(::socket(binding.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int on = 1;
  if (!socket.is_open() || setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (is_shared && setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
      bind(socket.fd(), reinterpret_cast<const sockaddr*>(&binding.address), binding.size) != 0) {
    return Socket();
  }
  return socket;
}

}  // namespace

Socket::~Socket() {
  if (is_open()) ::close(fd_);
}

Socket::Transfer Socket::read(char* into, std::size_t size) {
  ssize_t result = -1;
  do {
    result = recv(fd_, into, size, 0);
  } while (result < 0 && errno == EINTR);
  return outcome_of(result);
}

Socket::Transfer Socket::write(std::string_view bytes) {
  ssize_t result = -1;
  do {
    result = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (result < 0 && errno == EINTR);
  return outcome_of(result);
}

void Socket::finish_writing() {
  ::shutdown(fd_, SHUT_WR);
}

void Socket::close_hard() {
  linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(std::exchange(fd_, -1));
}

Accepted accept_from(const Socket& listener) {
  for (int attempt = 0; attempt < kAcceptAttempts; ++attempt) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    Socket socket(accept4(listener.fd(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.is_open()) {
      int on = 1;
      setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return {Socket::Outcome::kDone, std::move(socket), describe(address)};
    }
    if (would_block(errno)) return {Socket::Outcome::kWouldBlock};
    // EMFILE and its like stay; most others are the fate of that one connection (accept(2) passes on network errors).
  }
  return {Socket::Outcome::kFailed};
}

Result<std::vector<Socket>> listen_on(const std::string& host, std::uint16_t& port, int count) {
  auto binding = resolve(host, port);
  if (!binding) return std::unexpected(std::move(binding.error()));
  if (Socket probe = bind_socket(*binding, false); !probe.is_open()) return cannot_listen(host, port, errno);

  std::vector<Socket> listeners;
  for (int i = 0; i < count; ++i) {
    Socket socket = bind_socket(*binding, true);
    if (!socket.is_open() || listen(socket.fd(), kBacklog) != 0) return cannot_listen(host, port, errno);
    // The first one decides which free port it is.
    binding->size = sizeof binding->address;
    getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&binding->address), &binding->size);
    listeners.push_back(std::move(socket));
  }
  const auto& bound = binding->address;
  port = ntohs(bound.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(bound).sin_port
                                          : reinterpret_cast<const sockaddr_in6&>(bound).sin6_port);
  return listeners;
}

}  // namespace hearth::http
