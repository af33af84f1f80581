#pragma once

// Makes schedules run: looks at what is due, moves each on, and enqueues its job. Any number of nodes may do it at once.

#include <chrono>

#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/jobs/schedules.h"

namespace hearth::jobs {

// The first run of the schedule after `time`. kInvalidArgument naming `cron` or `timeZone`.
Result<UtcMicros> next_run(const Schedule& schedule, UtcMicros time);

class Scheduler {
 public:
  Scheduler(Schedules& schedules, const Clock& clock);

  // Checks the schedule, sets when it runs next, and keeps it.
  Task<Result<Schedule>> put(Schedule schedule);
  // Makes the configured schedules be exactly these; those made by API stay.
  Task<Result<void>> configure(std::vector<Schedule> schedules);

  // Runs what is due, once. True: there is more. For the background task, and tests.
  Result<bool> step();

  void start() { task_.start(); }
  void stop() { task_.stop(); }

 private:
  Schedules& schedules_;
  const Clock& clock_;
  BackgroundTask task_;
};

}  // namespace hearth::jobs
