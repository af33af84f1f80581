#pragma once

// Jobs as rows of content.db, for the stores on SQLite: reading them, and the moves from one table to the other.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/jobs/job.h"

// The columns that job_in() reads, of a job that is there and of one that has ended; literals, so that statements can be
// built around them.
#define HEARTH_SELECT_JOB                                                                                                             \
  "SELECT id, job_type, payload, url, status, priority, attempts, max_attempts, scheduled_for, started_at, completed_at, failed_at, " \
  "error_message, result, progress, created_at, updated_at, idempotency_key, worker_id, lease_expires_at FROM background_jobs "
#define HEARTH_SELECT_ENDED_JOB                                                                                  \
  "SELECT job_id, job_type, payload, url, status, priority, attempts, max_attempts, scheduled_for, started_at, " \
  "completed_at, failed_at, error_message, result, progress, created_at, ended_at, "                             \
  "idempotency_key, worker_id, NULL FROM job_history "

namespace hearth::jobs {

inline std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}
inline UtcMicros time_of(std::int64_t micros) {
  return UtcMicros(std::chrono::microseconds(micros));
}
inline std::optional<std::int64_t> micros(const std::optional<UtcMicros>& time) {
  if (!time) return std::nullopt;
  return micros(*time);
}
inline std::optional<UtcMicros> optional_time(const sqlite::Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return time_of(row.integer(column));
}
inline std::optional<std::int64_t> optional_integer(const sqlite::Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return row.integer(column);
}

// The job in the current row of a statement that begins with one of those above.
Job job_in(const sqlite::Statement& row);

// One that waits, runs or is dead; one that has completed or was cancelled; any.
std::optional<Job> find_present_job(sqlite::Connection& connection, JobId id);
std::optional<Job> find_ended_job(sqlite::Connection& connection, JobId id);
std::optional<Job> find_job(sqlite::Connection& connection, JobId id);

// The ids as a JSON array, for json_each().
std::string to_json(const std::vector<std::int64_t>& ids);

struct Completion {
  JobId job{};
  std::string_view lease_token;
  const std::optional<std::string>& result;
};
// Moves those jobs to history that run under these leases: they have completed. Returns which. REQUIRES: each job once.
std::vector<JobId> complete(sqlite::Connection& connection, const std::vector<Completion>& completions, UtcMicros now);
// Moves a job that waits or runs to history: it is cancelled. False: there is none.
bool cancel(sqlite::Connection& connection, JobId id, UtcMicros now);

struct Failure {
  JobId job{};
  std::string_view error;
  bool is_taken_over = false;  // by us, not its worker
  bool is_final = false;
  std::optional<std::chrono::milliseconds> retry_after = {};  // instead of what the type says
};
// Notes in history that the present attempt of a running job failed. Returns what the job is now: kPending or kDead.
JobStatus fail_attempt(sqlite::Connection& connection, const Failure& failure, UtcMicros now);

}  // namespace hearth::jobs
