#pragma once

// What commands share: parsing their arguments and saying what is wrong with them.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "hearth/app/commands/commands.h"
#include "hearth/app/config.h"

namespace hearth::app {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongArguments = 2;

// Prints `message` for people to standard error.
void complain(const std::string& message);

// A command with every setting as a flag.
class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& about) : command_(about, "hearth " + name) { add_setting_flags(command_); }

  // For options of the command's own.
  CLI::App& options() { return command_; }
  // The configuration, or nothing: then `status` is what to exit with, and help or the errors were printed.
  std::optional<Config> load(const Arguments& arguments, int& status);

 private:
  CLI::App command_;
};

}  // namespace hearth::app
