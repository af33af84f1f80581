#pragma once

// A worker outside of Hearth, in a process of its own: claims jobs over HTTP from whichever node answers, and ends them.
//
// It keeps an account of what it was answered in a file, a line for each answer, which a kill does not take away.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace hearth::tests {

inline constexpr std::size_t kWorkerThreads = 4;  // each claims and ends jobs, one at a time

struct WorkerOptions {
  std::string name;
  std::string type;  // of jobs
  std::chrono::milliseconds lease{1'500};
  std::size_t limit = 10;       // jobs of a claim
  bool holds = false;           // true: it renews leases, and ends nothing
  std::filesystem::path ports;  // JobNodes::ports()
  std::filesystem::path account;
};

struct WorkerEvent {
  std::string what;  // claimed, completed, repeated, failed, snoozed, renewed, stale; lost: an answer that says nothing; wrong
  std::string job;
  std::string lease_token;
  std::string rest = {};  // of what is wrong
};

class WorkerProcess {
 public:
  explicit WorkerProcess(WorkerOptions options);

  const std::string& name() const { return options_.name; }
  void kill();
  void pause() { process_->pause(); }
  void resume() { process_->resume(); }
  // So far.
  std::vector<WorkerEvent> events() const;

 private:
  const WorkerOptions options_;
  std::optional<ChildProcess> process_;
};

}  // namespace hearth::tests
