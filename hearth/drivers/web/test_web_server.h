#pragma once

// A small blocking HTTP/1.1 server for tests: answers what the test says, also what no proper server would.
//
//   TestWebServer server([](TestAnswer& answer, const TestRequest& request) { answer.send(200, "hello " + request.target); });
//   client.send({.url = server.url("/ada"), .allows_private = true});
//
// A thread a connection; ends them all when it goes.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace hearth::web {

struct TestRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
};

// The connection that a request came on.
class TestAnswer {
 public:
  explicit TestAnswer(int socket) : socket_(socket) {}

  void send(int status, std::string_view body = {}, const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Answer\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    text += "\r\n";
    text += body;
    write(text);
  }
  void redirect(int status, const std::string& location) { send(status, "moved", {{"Location", location}}); }

  // False when the client has gone.
  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Returns when the client closes its side.
  void wait_for_close() {
    char byte = 0;
    while (recv(socket_, &byte, 1, 0) > 0) continue;
  }
  void close() { shutdown(socket_, SHUT_RDWR); }

 private:
  int socket_;
};

class TestWebServer {
 public:
  using Handler = std::function<void(TestAnswer&, const TestRequest&)>;

  explicit TestWebServer(Handler handler, std::string address = "127.0.0.1") : handler_(std::move(handler)), address_(std::move(address)) {
    sockaddr_in local{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {inet_addr(address_.c_str())}, .sin_zero = {}};
    socklen_t size = sizeof local;
    auto* name = reinterpret_cast<sockaddr*>(&local);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener_, name, size) != 0 || listen(listener_, 64) != 0 || getsockname(listener_, name, &size) != 0) {
      throw std::runtime_error("cannot listen on " + address_);
    }
    port_ = ntohs(local.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  TestWebServer(const TestWebServer&) = delete;
  TestWebServer& operator=(const TestWebServer&) = delete;
  ~TestWebServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      std::lock_guard lock(mutex_);
      for (auto& connection : connections_) shutdown(connection.socket, SHUT_RDWR);
    }
    for (auto& connection : connections_) {
      connection.thread.join();
      ::close(connection.socket);
    }
    ::close(listener_);
  }

  int port() const { return port_; }
  std::string url(std::string_view path = "/") const { return "http://" + address_ + ":" + std::to_string(port_) + std::string(path); }
  int connections() const { return count_; }
  // So far, in the order in which they came.
  std::vector<TestRequest> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  struct Connection {
    int socket = -1;
    std::thread thread = {};
  };

  void accept_all() {
    while (true) {
      int accepted = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (accepted < 0) return;
      ++count_;
      std::lock_guard lock(mutex_);
      auto& connection = connections_.emplace_back(accepted);
      connection.thread = std::thread([this, accepted] { serve(accepted); });
    }
  }

  void serve(int socket) {
    std::string unread;
    TestRequest request;
    TestAnswer answer(socket);
    while (read_request(socket, unread, request)) {
      {
        std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      handler_(answer, request);
    }
    answer.close();
  }

  static bool read_more(int socket, std::string& unread) {
    char bytes[16 * 1024];
    auto size = recv(socket, bytes, sizeof bytes, 0);
    if (size > 0) unread.append(bytes, static_cast<std::size_t>(size));
    return size > 0;
  }

  static bool read_request(int socket, std::string& unread, TestRequest& request) {
    std::size_t end = 0;
    while ((end = unread.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more(socket, unread)) return false;
    }
    request = {};
    std::string_view head = std::string_view(unread).substr(0, end);
    auto line_end = head.find("\r\n");
    auto first = head.substr(0, line_end);
    request.method = first.substr(0, first.find(' '));
    request.target = first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
    while (line_end != std::string_view::npos) {
      head.remove_prefix(line_end + 2);
      line_end = head.find("\r\n");
      auto line = head.substr(0, line_end);
      std::string name(line.substr(0, line.find(':')));
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      auto value = line.substr(name.size() + 1);
      if (value.starts_with(' ')) value.remove_prefix(1);
      request.headers.emplace_back(std::move(name), value);
    }
    std::size_t size = std::strtoul(request.header("content-length").c_str(), nullptr, 10);
    while (unread.size() < end + 4 + size) {
      if (!read_more(socket, unread)) return false;
    }
    request.body = unread.substr(end + 4, size);
    unread.erase(0, end + 4 + size);
    return true;
  }

  Handler handler_;
  std::string address_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> count_ = 0;
  mutable std::mutex mutex_;
  std::vector<TestRequest> requests_;  // under mutex_
  std::list<Connection> connections_;  // under mutex_ while the acceptor runs
  std::thread acceptor_;
};

}  // namespace hearth::web
