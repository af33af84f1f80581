#pragma once

// Works off the queue in this process: claims what its handlers can do, runs them on threads, keeps their leases, ends them
// in batches.
//
// One thread claims, renews leases and ends jobs, each while the others are on their way; each type has as many threads of
// its own as may run at once. Jobs are claimed when the signal tells of some, when one is due, when a thread is free, and
// every `poll` all the same. Leases are counted from when they were asked for, by our own clock: no job starts after that.
//
// An attempt whose lease was lost, or that was cancelled, is asked to stop and its outcome dropped. While the database is away
// outcomes are kept and ended when it is back; the lease token makes that safe. An outcome that cannot be kept (its effect
// fails) fails the attempt. Thread-safe.

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
  std::uint64_t stale = 0;  // outcomes that were refused or dropped because another attempt owns the job
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

  // Throws std::system_error where no threads can be had. Handlers are complete by then.
  void start();
  // Claims nothing more and gives back what has not started, at once and without an attempt. Handlers that run may end for
  // `grace`; then they are asked to stop, their leases are not renewed, and their jobs are given back when they return, which
  // it waits for. Outcomes that the database does not take within `grace` are lost: those jobs run again when their leases
  // are over. Safe twice, and before start(). The io_contexts of those who wait in process() outlive it.
  void stop();

  // Claims at most `limit` due jobs that there is a handler for and runs them now, whether or not start() was called. Returns
  // when they ended or `budget` is over; those that still run then go on, and are not ok. Snoozing is ok. kUnavailable: it
  // was stopped, or the database is away.
  Task<Result<std::vector<ProcessedJob>>> process(std::size_t limit, std::chrono::milliseconds budget);

  RunnerStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::jobs
