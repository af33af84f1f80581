#include "hearth/jobs/stores/sqlite_job_rows.h"

#include <algorithm>

#include "hearth/base/assert.h"
#include "hearth/base/json_writer.h"
#include "hearth/jobs/stores/rules.h"

namespace hearth::jobs {
namespace {

constexpr char kFindPresent[] = HEARTH_SELECT_JOB "WHERE id = ?1";
constexpr char kFindEnded[] = HEARTH_SELECT_ENDED_JOB "WHERE job_id = ?1 AND number = 0";

#define HEARTH_END_JOB                                                                                                        \
  "INSERT INTO job_history (job_id, number, job_type, status, attempts, worker_id, lease_token, started_at, ended_at, "       \
  "duration_ms, payload, url, result, progress, priority, max_attempts, scheduled_for, completed_at, failed_at, created_at, " \
  "idempotency_key) "
// One statement for all of them: it costs more than a row. ?1: an array of [id, token, result].
constexpr char kComplete[] = HEARTH_END_JOB
    "SELECT job.id, 0, job_type, 'completed', attempts, worker_id, lease_token, started_at, ?2, (?2 - started_at) / 1000, payload, url, "
    "each.value ->> 2, progress, priority, max_attempts, scheduled_for, ?2, failed_at, created_at, idempotency_key "
    "FROM json_each(?1) AS each CROSS JOIN background_jobs AS job ON job.id = each.value ->> 0 "
    "WHERE status = 'processing' AND lease_token = each.value ->> 1 RETURNING job_id, idempotency_key";
constexpr char kDeleteAll[] = "DELETE FROM background_jobs WHERE id IN (SELECT value FROM json_each(?1))";
// A start and a token that a waiting job still has are those of an earlier attempt.
constexpr char kCancel[] = HEARTH_END_JOB
    "SELECT id, 0, job_type, 'cancelled', attempts, worker_id, iif(status = 'processing', lease_token, NULL), "
    "iif(status = 'processing', started_at, NULL), ?2, iif(status = 'processing', (?2 - started_at) / 1000, NULL), payload, url, NULL, "
    "progress, priority, max_attempts, scheduled_for, NULL, failed_at, created_at, idempotency_key "
    "FROM background_jobs WHERE id = ?1 AND status <> 'dead'";
constexpr char kFindKey[] = "SELECT idempotency_key FROM background_jobs WHERE id = ?1";
constexpr char kDelete[] = "DELETE FROM background_jobs WHERE id = ?1";
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

void release_key(sqlite::Connection& connection, const std::string& key, std::int64_t job, UtcMicros now) {
  connection.statement(kReleaseKey).run(key, job, micros(now));
}

std::string to_json(const std::vector<Completion>& completions) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const Completion& completion : completions) {
    json.begin_array().value(std::to_underlying(completion.job)).value(completion.lease_token);
    if (completion.result) json.value(*completion.result);
    json.end_array();
  }
  json.end_array();
  return text;
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

std::string to_json(const std::vector<std::int64_t>& ids) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (std::int64_t id : ids) json.value(id);
  json.end_array();
  return text;
}

std::vector<JobId> complete(sqlite::Connection& connection, const std::vector<Completion>& completions, UtcMicros now) {
  std::vector<std::int64_t> ids;
  std::vector<std::pair<std::string, std::int64_t>> keys;
  auto& row = connection.statement(kComplete).query(to_json(completions), micros(now));
  while (row.next()) {
    ids.push_back(row.integer(0));
    if (!row.is_null(1)) keys.emplace_back(row.string(1), row.integer(0));
  }
  if (ids.empty()) return {};
  connection.statement(kDeleteAll).run(to_json(ids));
  for (const auto& [key, job] : keys) release_key(connection, key, job, now);
  std::vector<JobId> jobs;
  for (std::int64_t id : ids) jobs.push_back(JobId(id));
  return jobs;
}

bool cancel(sqlite::Connection& connection, JobId id, UtcMicros now) {
  if (connection.statement(kCancel).run(std::to_underlying(id), micros(now)) == 0) return false;
  auto& row = connection.statement(kFindKey).query(std::to_underlying(id));
  HEARTH_ASSERT(row.next());
  auto key = row.optional_string(0);
  row.reset();
  connection.statement(kDelete).run(std::to_underlying(id));
  if (key) release_key(connection, *key, std::to_underlying(id), now);
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
  if (is_last && key) release_key(connection, *key, id, now);
  return is_last ? JobStatus::kDead : JobStatus::kPending;
}

}  // namespace hearth::jobs
