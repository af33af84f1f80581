// The limit that Hearth is measured against: one epoll loop a thread that answers a constant to whatever arrives, without
// looking at it. Usage: bare_loop PORT THREADS
//
// It answers once per read, so it understands neither pipelining nor requests that come in parts; wrk sends neither.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 73\r\n\r\n"
    R"({"success":true,"isLiked":true,"newCount":447,"version":1790000000000000})";

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int listen_on(std::uint16_t port) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("bind");
  if (listen(listener, SOMAXCONN) != 0) die("listen");
  return listener;
}

void watch(int poller, int file) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = file}};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, file, &event) != 0) die("epoll_ctl");
}

void serve(std::uint16_t port) {
  int listener = listen_on(port);
  int poller = epoll_create1(EPOLL_CLOEXEC);
  watch(poller, listener);
  std::vector<char> request(64 * 1024);
  epoll_event events[256];
  for (;;) {
    int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      int file = events[i].data.fd;
      if (file == listener) {
        int on = 1;
        for (int peer; (peer = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
          setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          watch(poller, peer);
        }
        continue;
      }
      if (recv(file, request.data(), request.size(), 0) <= 0 || send(file, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) < 0) close(file);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  static_assert(kAnswer.size() - kAnswer.find("\r\n\r\n") - 4 == 73);
  if (argc != 3) {
    std::fprintf(stderr, "usage: bare_loop PORT THREADS\n");
    return 2;
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < std::atoi(argv[2]); ++i) threads.emplace_back(serve, static_cast<std::uint16_t>(std::atoi(argv[1])));
  for (auto& thread : threads) thread.join();
}
