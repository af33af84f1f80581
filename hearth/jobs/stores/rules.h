#pragma once

// What the stores of jobs have in common beyond their SQL: refusals, tokens, and how errors are kept.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/schedules.h"

namespace hearth::jobs {

// The error of an attempt whose lease was taken over.
inline constexpr std::string_view kLeaseEnded = "the lease ended: its worker has died or stood still";

std::unexpected<Error> job_missing(JobId id);
std::unexpected<Error> lease_is_stale(JobId id);
std::unexpected<Error> job_was_cancelled(JobId id);
// `status`: of the attempt in history, or "snoozed".
std::unexpected<Error> attempt_ended_otherwise(JobId id, std::string_view status);

// The answer to who ends an attempt again that has ended, with its own token. `status`: as above.
Result<Ended> answer_again(JobId id, const Outcome& outcome, std::string_view status);

// At most kErrorBytesMax bytes, without a part of a character at the end.
std::string_view cut(std::string_view error);

// The lease tokens of one claim are UUIDs: this, which is random, and the job's id in twelve digits. So each claim of each job
// has its own, and nobody else can guess it.
std::string new_lease_prefix();

// The job of the moment at which `schedule` was due.
JobDraft job_of(const Schedule& schedule, UtcMicros due_at);

// At random, 0 … 1: for retry_delay().
double random_spread();

}  // namespace hearth::jobs
