#include "tests/support/server_process.h"

#include <signal.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace hearth::tests {

std::vector<std::string> serve_arguments(const ServerOptions& options) {
  std::vector<std::string> arguments = {HEARTH_EXECUTABLE, "serve", "--data=" + options.data.string(), "--log.level=warning"};
  bool says_where = std::ranges::any_of(options.flags, [](const std::string& flag) { return flag.starts_with("--listen="); });
  if (!says_where) arguments.emplace_back("--listen=127.0.0.1:0");
  arguments.insert(arguments.end(), options.flags.begin(), options.flags.end());
  return arguments;
}

ServerProcess::ServerProcess(ServerOptions options) : options_(std::move(options)) {
  start();
}

void ServerProcess::start() {
  process_ = std::make_unique<ChildProcess>(serve_arguments(options_), options_.environment);
  constexpr std::string_view kListening = "listening on http://";
  auto line = process_->read_line();
  if (!line || !line->starts_with(kListening)) {
    throw std::runtime_error("hearth does not serve: " + line.value_or("") + process_->errors());
  }
  port_ = static_cast<std::uint16_t>(std::stoi(line->substr(line->rfind(':') + 1)));
}

ExitStatus ServerProcess::terminate() {
  ask_to_stop();
  return wait();
}

void ServerProcess::kill() {
  process_->signal(SIGKILL);
  auto status = process_->wait();
  if (status.signal != SIGKILL) {
    throw std::runtime_error("the server had ended before (" + std::to_string(status.code) + ", signal " + std::to_string(status.signal) +
                             "): " + process_->errors());
  }
}

}  // namespace hearth::tests
