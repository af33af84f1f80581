#pragma once

// How jobs, schedules and the queue look in JSON: for the routes, and for commands that ask SQL themselves.

#include <string>
#include <vector>

#include "hearth/base/json_writer.h"
#include "hearth/jobs/job_admin.h"
#include "hearth/jobs/job_handlers.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_runner.h"
#include "hearth/jobs/schedules.h"

namespace hearth::api {

// Leaves the object open.
void begin_job(JsonWriter& json, const jobs::Job& job);

std::string to_json(const jobs::Job& job);
std::string to_json(const jobs::JobDetails& details);  // the job, and `history`
std::string to_json(const jobs::JobPage& page);        // {jobs, nextCursor?}
std::string to_json(const std::vector<jobs::ClaimedJob>& jobs);
std::string to_json(const std::vector<jobs::ProcessedJob>& jobs);
std::string to_json(const jobs::QueueStats& stats);

void write_type(JsonWriter& json, const jobs::TypeSettings& settings, bool is_built_in);
// {jobType, isPaused}
std::string paused_json(const std::string& type, bool is_paused);

void write_schedule(JsonWriter& json, const jobs::Schedule& schedule);

}  // namespace hearth::api
