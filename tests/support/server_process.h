#pragma once

// The built executable, serving from a data folder on a free port of this machine.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace hearth::tests {

struct ServerOptions {
  std::filesystem::path data;
  std::vector<std::string> flags = {};
  std::vector<std::string> environment = {};  // "NAME=value"
};

class ServerProcess {
 public:
  // Returns once the server can serve. Throws with what it said if it cannot.
  explicit ServerProcess(ServerOptions options);

  std::uint16_t port() const { return port_; }
  pid_t id() const { return process_->id(); }
  std::string errors() const { return process_->errors(); }

  // SIGTERM, and how it ended.
  ExitStatus terminate();
  // SIGTERM without waiting for the end.
  void ask_to_stop() { process_->signal(15); }
  ExitStatus wait() { return process_->wait(); }
  // It lives and does nothing, with its connections open.
  void pause() { process_->pause(); }
  void resume() { process_->resume(); }
  // kill -9. Throws if it had ended before by itself.
  void kill();
  // Serves from the same folder again, on another port. REQUIRES: it has ended.
  void start();

 private:
  ServerOptions options_;
  std::unique_ptr<ChildProcess> process_;
  std::uint16_t port_ = 0;
};

// The command line of a server, for those that start one without waiting for it.
std::vector<std::string> serve_arguments(const ServerOptions& options);

}  // namespace hearth::tests
