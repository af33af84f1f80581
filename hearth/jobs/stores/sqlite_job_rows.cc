#include "hearth/jobs/stores/sqlite_job_rows.h"

#include <algorithm>

#include "hearth/base/assert.h"
#include "hearth/jobs/stores/rules.h"

namespace hearth::jobs {
namespace {

constexpr char kFindPresent[] = HEARTH_SELECT_JOB "WHERE id = ?1";
constexpr char kFindEnded[] = HEARTH_SELECT_ENDED_JOB "WHERE job_id = ?1 AND number = 0";

#define HEARTH_END_JOB                                                                                                        \
  "INSERT INTO job_history (job_id, number, job_type, status, attempts, worker_id, lease_token, started_at, ended_at, "       \
  "duration_ms, payload, url, result, progress, priority, max_attempts, scheduled_for, completed_at, failed_at, created_at, " \
  "idempotency_key) "
constexpr char kComplete[] = HEARTH_END_JOB
    "SELECT id, 0, job_type, 'completed', attempts, worker_id, lease_token, started_at, ?4, (?4 - started_at) / 1000, payload, url, ?3, "
    "progress, priority, max_attempts, scheduled_for, ?4, failed_at, created_at, idempotency_key "
    "FROM background_jobs WHERE id = ?1 AND status = 'processing' AND lease_token = ?2";
// A start and a token that a waiting job still has are those of an earlier attempt.
constexpr char kCancel[] = HEARTH_END_JOB
    "SELECT id, 0, job_type, 'cancelled', attempts, worker_id, iif(status = 'processing', lease_token, NULL), "
    "iif(status = 'processing', started_at, NULL), ?2, iif(status = 'processing', (?2 - started_at) / 1000, NULL), payload, url, NULL, "
    "progress, priority, max_attempts, scheduled_for, NULL, failed_at, created_at, idempotency_key "
    "FROM background_jobs WHERE id = ?1 AND status <> 'dead'";
constexpr char kDelete[] = "DELETE FROM background_jobs WHERE id = ?1 RETURNING idempotency_key";
constexpr char kReleaseKey[] = "UPDATE job_keys SET ended_at = ?3 WHERE key = ?1 AND job_id = ?2";

constexpr char kFindAttempt[] =
    "SELECT job.attempts, job.max_attempts, job.idempotency_key, job_types.retry_base_s, job_types.retry_max_s "
    "FROM background_jobs AS job LEFT JOIN job_types USING (job_type) WHERE id = ?1";
constexpr char kNoteFailure[] =
    "INSERT INTO job_history (job_id, number, job_type, status, attempts, worker_id, lease_token, is_taken_over, started_at, ended_at, "
    "duration_ms, error_message) "
    "SELECT id, 1 + coalesce((SELECT max(number) FROM job_history WHERE job_id = ?1), 0), job_type, ?2, attempts, worker_id, lease_token, "
    "?3, "
    "started_at, ?4, (?4 - started_at) / 1000, ?5 FROM background_jobs WHERE id = ?1";
constexpr char kFail[] =
    "UPDATE background_jobs SET status = ?2, failed_at = ?3, error_message = ?4, scheduled_for = ?5, worker_id = NULL, lease_token = NULL, "
    "lease_ms = NULL, lease_expires_at = NULL, updated_at = max(?3, updated_at + 1) WHERE id = ?1";

std::optional<Job> job_of(sqlite::Statement& row) {
  if (!row.next()) return std::nullopt;
  Job job = job_in(row);
  row.reset();
  return job;
}

void delete_ended(sqlite::Connection& connection, JobId id, UtcMicros now) {
  auto& deleted = connection.statement(kDelete).query(std::to_underlying(id));
  HEARTH_ASSERT(deleted.next());
  auto key = deleted.optional_string(0);
  deleted.reset();
  if (key) connection.statement(kReleaseKey).run(*key, std::to_underlying(id), micros(now));
}

}  // namespace

Job job_in(const sqlite::Statement& row) {
  return Job{.id = JobId(row.integer(0)),
             .type = row.string(1),
             .payload = row.string(2),
             .url = row.optional_string(3),
             .status = parse_job_status(row.text(4)).value(),
             .priority = static_cast<int>(row.integer(5)),
             .attempts = static_cast<int>(row.integer(6)),
             .max_attempts = static_cast<int>(row.integer(7)),
             .scheduled_for = time_of(row.integer(8)),
             .started_at = optional_time(row, 9),
             .completed_at = optional_time(row, 10),
             .failed_at = optional_time(row, 11),
             .error_message = row.optional_string(12),
             .result = row.optional_string(13),
             .progress = row.optional_string(14),
             .created_at = time_of(row.integer(15)),
             .updated_at = time_of(row.integer(16)),
             .idempotency_key = row.optional_string(17),
             .worker = row.optional_string(18),
             .lease_expires_at = optional_time(row, 19)};
}

std::optional<Job> find_present_job(sqlite::Connection& connection, JobId id) {
  return job_of(connection.statement(kFindPresent).query(std::to_underlying(id)));
}

std::optional<Job> find_ended_job(sqlite::Connection& connection, JobId id) {
  return job_of(connection.statement(kFindEnded).query(std::to_underlying(id)));
}

std::optional<Job> find_job(sqlite::Connection& connection, JobId id) {
  auto present = find_present_job(connection, id);
  return present ? present : find_ended_job(connection, id);
}

bool complete(sqlite::Connection& connection, JobId id, std::string_view lease_token, const std::optional<std::string>& result,
              UtcMicros now) {
  if (connection.statement(kComplete).run(std::to_underlying(id), lease_token, result, micros(now)) == 0) return false;
  delete_ended(connection, id, now);
  return true;
}

bool cancel(sqlite::Connection& connection, JobId id, UtcMicros now) {
  if (connection.statement(kCancel).run(std::to_underlying(id), micros(now)) == 0) return false;
  delete_ended(connection, id, now);
  return true;
}

JobStatus fail_attempt(sqlite::Connection& connection, const Failure& failure, UtcMicros now) {
  auto id = std::to_underlying(failure.job);
  auto& row = connection.statement(kFindAttempt).query(id);
  HEARTH_ASSERT(row.next());
  auto attempts = static_cast<int>(row.integer(0));
  bool is_last = failure.is_final || attempts >= row.integer(1);
  auto key = row.optional_string(2);
  std::chrono::seconds base(optional_integer(row, 3).value_or(kRetryBase.count()));
  std::chrono::seconds most(optional_integer(row, 4).value_or(kRetryMax.count()));
  row.reset();

  std::string_view error = cut(failure.error);
  connection.statement(kNoteFailure).run(id, is_last ? "dead" : "failed", failure.is_taken_over, micros(now), error);
  auto wait = failure.retry_after.value_or(retry_delay(attempts, base, most, random_spread()));
  connection.statement(kFail).run(id, is_last ? "dead" : "pending", micros(now), error, micros(now + wait));
  if (is_last && key) connection.statement(kReleaseKey).run(*key, id, micros(now));
  return is_last ? JobStatus::kDead : JobStatus::kPending;
}

}  // namespace hearth::jobs
