// check-config, print-config and version: what needs nothing but the settings.

#include <cstdio>

#include "hearth/app/commands/command_line.h"

namespace hearth::app {

int check_config(const Arguments& arguments) {
  CommandLine command("check-config", "Checks flags, environment and file, and changes nothing.");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;
  std::printf("the configuration is valid\n");
  return kDone;
}

int print_configuration(const Arguments& arguments) {
  CommandLine command("print-config", "Prints the settings in force as a TOML file; secrets are not shown.");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;
  std::printf("%s", print_config(*config).c_str());
  return kDone;
}

int version(const Arguments& /*arguments*/) {
  std::printf("hearth %s\n", HEARTH_VERSION);
  return kDone;
}

}  // namespace hearth::app
