#pragma once

// Makes schedules run: looks at what is due, moves each on, and enqueues its job. Any number of nodes may do it at once.
//
// Of several moments that were missed only the last one runs, or none (CatchUp). A run that comes within a minute was not
// missed. Times are those of the node's clock; a run comes up to a second late.

#include <string_view>
#include <vector>

#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/jobs/schedules.h"

namespace hearth::jobs {

// The first run of the schedule after `time`. kInvalidArgument naming `cron` or `timeZone`; kUnavailable: the system has no
// time zones.
Result<UtcMicros> next_run(const Schedule& schedule, UtcMicros time);

// A schedule as the configuration has it: "NAME | CRON | TIME ZONE | JOB TYPE | PAYLOAD | once or skip", the last two optional.
// Checked as by Scheduler::put().
Result<Schedule> parse_schedule(std::string_view text);

class Scheduler {
 public:
  Scheduler(Schedules& schedules, const Clock& clock);

  // Checks the schedule, sets when it runs next, and keeps it. kInvalidArgument naming the API's field. Whether its payload
  // fits its type is the caller's to know.
  Task<Result<Schedule>> put(Schedule schedule);
  // Makes the configured schedules be exactly these; those made by API stay, but for those of the same name. Nothing changes
  // if one cannot be kept as it is.
  Task<Result<void>> configure(std::vector<Schedule> schedules);

  // Runs what is due, once. True: there is more. For the background task, and tests.
  Result<bool> step();

  void start() { task_.start(); }
  void stop() { task_.stop(); }

 private:
  Task<Result<bool>> run_due();
  Task<Result<bool>> run(Schedule due, UtcMicros now);

  Schedules& schedules_;
  const Clock& clock_;
  BackgroundTask task_;
};

}  // namespace hearth::jobs
