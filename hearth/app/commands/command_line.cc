#include "hearth/app/commands/command_line.h"

#include <algorithm>
#include <cstdio>

#include "hearth/base/log.h"

namespace hearth::app {

void complain(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
}

std::optional<Config> CommandLine::load(const Arguments& arguments, int& status) {
  if (std::ranges::find(arguments, "--help") != arguments.end() || std::ranges::find(arguments, "-h") != arguments.end()) {
    std::printf("%s", command_.help().c_str());
    status = kDone;
    return std::nullopt;
  }
  auto config = load_config(command_, arguments, process_environment());
  if (!config) {
    complain(config.error().message);
    status = kWrongArguments;
    return std::nullopt;
  }
  log::configure(config->log.level, config->log.format);
  return *std::move(config);
}

}  // namespace hearth::app
