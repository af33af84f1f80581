#pragma once

// One program that a test starts, and the only one that it ends.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace hearth::tests {

inline constexpr std::chrono::seconds kPatience{60};  // nothing that a test waits for takes so long

// With a sanitizer everything takes several times as long.
#ifdef HEARTH_SANITIZED
inline constexpr int kSlowness = 4;
#else
inline constexpr int kSlowness = 1;
#endif

// How a program ended.
struct ExitStatus {
  int code = -1;   // of a program that returned
  int signal = 0;  // that ended it otherwise
};

class ChildProcess {
 public:
  // Starts arguments[0]. The program sees only the variables of `environment`, as "NAME=value". It is killed when the
  // thread that started it ends. Throws if there is no such program.
  ChildProcess(std::vector<std::string> arguments, std::vector<std::string> environment = {});
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();  // kills it if it still runs

  // The next line of its standard output without the newline; nothing at the output's end. Throws when none comes.
  std::optional<std::string> read_line();
  // The rest of its standard output.
  std::string read_rest();
  // What it wrote to standard error so far.
  std::string errors() const;

  pid_t id() const { return id_; }
  void signal(int number) const;
  // Returns when it stands still, with its files and connections open.
  void pause() const;
  void resume() const;
  // Waits for its end. Throws if it does not end.
  ExitStatus wait();

 private:
  bool read_more();

  pid_t id_ = -1;  // -1 once it was waited for
  int output_ = -1;
  int errors_ = -1;
  std::string unread_;
  std::optional<ExitStatus> status_;
};

// What a command said, and how it ended.
struct CommandResult {
  int code = -1;
  std::string output = {};
  std::string errors = {};
};

// Runs `hearth` with these arguments to its end.
CommandResult run_hearth(std::vector<std::string> arguments, std::vector<std::string> environment = {});

}  // namespace hearth::tests
