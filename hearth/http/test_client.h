#pragma once

// A client for tests that sends exactly the bytes it is given and reads whole answers. Blocks; fails after 20 s.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace hearth::http {

struct Answer {
  int status = 0;    // 0: the connection ended instead
  std::string head;  // status line and fields, each with its CRLF
  std::string body;

  std::string field(std::string_view name) const {
    std::string start = "\r\n" + std::string(name) + ": ";
    auto at = head.find(start);
    if (at == std::string::npos) return "";
    at += start.size();
    return head.substr(at, head.find("\r\n", at) - at);
  }
};

class TestClient {
 public:
  explicit TestClient(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~TestClient() { close(fd_); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool is_connected() const { return is_connected_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server closed: what it answered is still to be read
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void finish_writing() { shutdown(fd_, SHUT_WR); }
  void wait_for_hang_up() {
    pollfd descriptor{.fd = fd_, .events = 0, .revents = 0};
    EXPECT_EQ(poll(&descriptor, 1, 20'000), 1);
  }

  // `has_body`: false for the answer to HEAD.
  Answer read(bool has_body = true) {
    Answer answer;
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return answer;
    }
    answer.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    answer.status = std::atoi(answer.head.c_str() + 9);
    std::size_t length = has_body ? std::strtoul(answer.field("Content-Length").c_str(), nullptr, 10) : 0;
    while (buffer_.size() < length && fill()) {
    }
    answer.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return answer;
  }
  Answer ask(std::string_view bytes) {
    send(bytes);
    return read();
  }
  // The server ended the connection in an orderly way and sent nothing more.
  bool is_at_end() {
    char byte = 0;
    return buffer_.empty() && recv(fd_, &byte, 1, 0) == 0;
  }

 private:
  bool fill() {
    char bytes[16 * 1024];
    auto got = recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  bool is_connected_ = false;
  std::string buffer_;
};

}  // namespace hearth::http
