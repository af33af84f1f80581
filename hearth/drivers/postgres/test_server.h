#pragma once

// A PostgreSQL server of the test's own, on a free loopback port, with its data in a temporary folder.
//
// It dies with the test process, however that ends. As root it runs as the user `postgres`, who must exist then.
// fsync is on: what survives kill() is what PostgreSQL promises.
//
//   static PostgresServer server;                            // a second or so
//   auto url = server.create_database("like_ledger");        // fresh, 50 ms
//
// One thread at a time. Failures throw std::runtime_error.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::postgres {

class PostgresServer {
 public:
  PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer();

  // Of a database that is there from the start.
  std::string url() const { return url_of("postgres"); }
  std::uint16_t port() const { return port_; }
  // A fresh, empty database, named after `name`; returns its URL.
  std::string create_database(std::string_view name);

  // kill -9 of the postmaster and all its children, as a crash of the machine's memory would. Returns when they are gone.
  void kill();
  // Starts it again on the same port and data, after kill() or stop(); returns when it answers.
  void start();
  void restart() {
    kill();
    start();
  }
  // Stops in order: sessions are ended, and what is in memory is written.
  void stop();
  // Stops all its processes where they are (SIGSTOP), connections open, and lets them go on.
  void pause();
  void resume();

 private:
  std::string url_of(std::string_view database) const;
  std::vector<pid_t> children() const;
  void wait_until_it_answers();

  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t postmaster_ = -1;
  int databases_ = 0;
};

}  // namespace hearth::postgres
