#pragma once

// Works off the queue in this process: claims what its handlers can do, runs them on threads, keeps their leases, ends them
// in batches.
//
// One thread claims, renews leases and ends jobs; handlers run on a pool. It waits for the signal and looks at the queue
// every `poll` all the same. An attempt whose lease was lost, because this process stood still, is stopped and its outcome
// is refused by the queue. Thread-safe. stop() lets running handlers end for `grace`, then gives up their leases.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/task.h"
#include "hearth/jobs/job_handlers.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_signal.h"

namespace hearth::jobs {

struct RunnerOptions {
  std::string worker;  // this node
  std::chrono::milliseconds lease = kLeaseDefault;
  std::chrono::milliseconds heartbeat{10'000};  // at most a third of the lease
  std::chrono::milliseconds poll{1'000};
  std::chrono::milliseconds grace{5'000};
};

struct RunnerStats {
  std::uint64_t claimed = 0, completed = 0, failed = 0, snoozed = 0;
  std::uint64_t stale = 0;  // outcomes that were refused because another attempt owns the job
  std::uint64_t timed_out = 0;
  std::uint64_t taken_over = 0;  // attempts of dead workers that were failed
  std::uint64_t running = 0;     // now
};

// What /api/queue/process did.
struct ProcessedJob {
  JobId id{};
  std::string type;
  bool is_ok = false;
  std::string error = {};
};

class JobRunner {
 public:
  JobRunner(JobQueue& queue, JobSignal& signal, const JobHandlers& handlers, const Clock& clock, RunnerOptions options);
  ~JobRunner();

  void start();
  void stop();

  // Claims at most `limit` due jobs that there is a handler for and runs them now, whether or not start() was called. Returns
  // when they ended or `budget` is over; those that still run then go on.
  Task<Result<std::vector<ProcessedJob>>> process(std::size_t limit, std::chrono::milliseconds budget);

  RunnerStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::jobs
