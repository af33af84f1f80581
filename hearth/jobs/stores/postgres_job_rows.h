#pragma once

// Jobs as rows of PostgreSQL, for the stores there: reading them, and inserting drafts. What claims and ends them is in
// migrations/postgres/004_jobs.sql.
//
// JSON is kept as jsonb: other programs can query it, and it comes back with its keys in another order.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/drivers/postgres/connection.h"
#include "hearth/jobs/job_queue.h"

// The columns that job_in() reads, of a job that is there and of one that has ended; literals, so that statements can be
// built around them.
#define HEARTH_POSTGRES_JOB                                                                                               \
  "id, job_type, payload::text, url, status, priority, attempts, max_attempts, scheduled_for, started_at, completed_at, " \
  "failed_at, error_message, result::text, progress::text, created_at, updated_at, idempotency_key, CASE status WHEN "    \
  "'processing' THEN worker_id END, lease_expires_at "
#define HEARTH_POSTGRES_SELECT_JOB "SELECT " HEARTH_POSTGRES_JOB "FROM background_jobs "
#define HEARTH_POSTGRES_SELECT_ENDED_JOB                                                                                  \
  "SELECT job_id, job_type, payload::text, url, status, priority, attempts, max_attempts, scheduled_for, started_at, "    \
  "completed_at, failed_at, NULL::text, result::text, progress::text, created_at, ended_at, idempotency_key, worker_id, " \
  "NULL::timestamptz FROM job_history "

namespace hearth::jobs {

// The channel on which inserted jobs are announced.
inline constexpr char kPostgresJobsChannel[] = "hearth_jobs";

// A transaction of a node that stands still holds its rows no longer than this.
#define HEARTH_POSTGRES_SHORT_TRANSACTION "set_config('idle_in_transaction_session_timeout', '5000', true)"

// The job in the current row of a statement that begins with one of those above.
Job job_in(const postgres::Rows& row);
std::optional<UtcMicros> optional_time(const postgres::Rows& row, int column);

// Those of these jobs that there are, in any order.
std::vector<Job> find_jobs(postgres::Connection& connection, const std::vector<std::int64_t>& ids);

// JSON as PostgreSQL writes jsonb, without the spaces that it puts between.
std::string without_padding(std::string_view json);
// Whether the JSON names the character that jsonb cannot keep.
bool names_nul(std::string_view json);

// Inserts the jobs and answers in order. Those with a key first, by key, then those to debounce: whoever inserts takes its
// locks in this order. A key that is taken stays locked until the transaction ends.
std::vector<EnqueuedJob> insert_jobs(postgres::Connection& connection, std::span<const JobDraft* const> drafts);
std::vector<EnqueuedJob> insert_jobs(postgres::Connection& connection, std::span<const JobDraft> drafts);
// kInvalidArgument: a payload that cannot be kept.
Result<void> check_storable(const JobDraft& draft);
// The answer to a draft that the database refused.
Error to_draft_error(const postgres::Failure& failure);

}  // namespace hearth::jobs
