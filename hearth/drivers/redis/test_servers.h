#pragma once

// Real Redis servers for tests, and a network that fails on command.
//
// Each server is a process of its own on a free loopback port with its files in a temporary folder. It is killed when
// the thread that started it ends, and at the latest with the object. What cannot be done throws std::runtime_error.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/drivers/redis/client.h"

namespace hearth::redis {

// Waits for a condition, not for a time. False when it does not come true in a long time.
bool eventually(const std::function<bool()>& condition);

// A folder that ends with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// An authority that is made up on the spot, and what it signed for 127.0.0.1 and localhost.
class TestCertificates {
 public:
  explicit TestCertificates(const std::filesystem::path& folder);
  const std::string ca, certificate, key;  // files
};

struct RedisServerOptions {
  bool is_persistent = true;             // an append-only file
  std::string appendfsync = "no";        // or everysec, always
  std::vector<std::string> config = {};  // more lines of redis.conf
  bool has_tls = false;                  // on a port of its own, beside the plain one
  bool is_sentinel = false;
};

class RedisServer {
 public:
  // Returns once the server answers.
  explicit RedisServer(RedisServerOptions options = {});
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer();

  void kill();     // -9
  void stop();     // as a machine that shuts down does
  void restart();  // on the same port and data; kills it if it runs
  void pause();    // it lives and does nothing
  void resume();

  // Sends a command over a connection of its own.
  Reply run(const std::vector<std::string_view>& words) const;
  // Before which it does not listen.
  void authenticate_as(std::string password) { password_ = std::move(password); }

  pid_t pid() const { return pid_; }
  std::uint16_t port() const { return port_; }
  std::uint16_t tls_port() const { return tls_port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string url() const { return "redis://" + address(); }
  std::string tls_url(std::string_view host = "localhost") const {
    return "rediss://" + std::string(host) + ":" + std::to_string(tls_port_);
  }
  const std::string& ca_file() const;  // REQUIRES: has_tls
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  void write_config() const;
  void start();

  const RedisServerOptions options_;
  TemporaryFolder folder_;
  std::unique_ptr<TestCertificates> certificates_;
  std::uint16_t port_ = 0;
  std::uint16_t tls_port_ = 0;
  std::uint16_t bus_port_ = 0;  // of Cluster
  std::string password_;
  pid_t pid_ = -1;

  friend class RedisCluster;
};

// Three primaries, each with a replica. Failover takes about two seconds.
class RedisCluster {
 public:
  static constexpr std::size_t kPrimaries = 3;
  static constexpr std::size_t kNodes = 2 * kPrimaries;

  explicit RedisCluster(RedisServerOptions options = {});

  std::string url() const;  // of all nodes
  RedisServer& node(std::size_t index) { return *nodes_[index]; }
  // What the nodes that live say.
  std::size_t primary_of(std::uint16_t slot) const;
  std::string id_of(std::size_t index) const;
  // Returns the node that it was.
  std::size_t kill_primary_of(std::uint16_t slot);
  void restart(std::size_t index) { nodes_[index]->restart(); }
  // Whether every slot is served and every primary that lives has its replica.
  bool is_healthy() const;

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

// Between a client and a server on loopback. Thread-safe.
class TcpProxy {
 public:
  explicit TcpProxy(std::uint16_t target_port);
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;
  ~TcpProxy();

  std::uint16_t port() const;
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port()); }

  void delay(std::chrono::milliseconds each);  // what goes either way
  void swallow_answers();                      // requests arrive, answers do not
  void cut();                                  // ends all connections; new ones are taken
  void refuse();                               // ends all connections and takes no new ones
  void resume();                               // ends all of the above

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::redis
