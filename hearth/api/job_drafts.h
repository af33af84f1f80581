#pragma once

// Jobs as requests describe them, and the JSON that they carry.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/api/jobs_routes.h"
#include "hearth/base/json_reader.h"
#include "hearth/http/request.h"
#include "hearth/jobs/job.h"

namespace hearth::api {

// The body's {jobType, payload?, priority?, scheduledFor?, idempotencyKey?, maxAttempts?, url?, debounce?}, or {jobs: […]} of
// them, of which errors say which: `jobs[3].priority`. What comes back may be enqueued: the payload is an object that fits
// its type, and jobs may be posted to the url.
Result<jobs::JobDraft> read_job(http::Request& request, const JobsApi& api);
Result<std::vector<jobs::JobDraft>> read_jobs(http::Request& request, const JobsApi& api);

// Whether a built-in type takes such a payload; of other types all are taken. The error names `payload.field`.
Result<void> check_payload(std::string_view type, std::string_view payload, const JobsApi& api);

// Whether `job` is what `draft` asks for, as far as jobs keep what they were: for a key that came twice.
bool is_same_job(const jobs::JobDraft& draft, const jobs::Job& job);

// Any JSON value that every database can keep, at most jobs::kPayloadBytesMax.
Result<bool> take_json(JsonValue& value, std::string_view field, std::optional<std::string>& target);
// The same, of an object.
Result<bool> take_object(JsonValue& value, std::string_view field, std::string& target);

}  // namespace hearth::api
