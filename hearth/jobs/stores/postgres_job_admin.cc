#include "hearth/jobs/stores/postgres_job_admin.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/jobs/stores/postgres_job_rows.h"
#include "hearth/jobs/stores/rules.h"

namespace hearth::jobs {
namespace {

using postgres::Connection;
using postgres::Rows;

constexpr std::chrono::seconds kSearchMax{10};  // through texts that no index knows

constexpr char kAttempts[] =
    "SELECT attempts, status, started_at, ended_at, duration_ms, error_message, worker_id FROM job_history WHERE job_id = $1 "
    "ORDER BY ended_at DESC LIMIT $2";

// $1: the text, escaped; $2: the type; $3: the page starts below this id; $4: how many.
#define HEARTH_MATCHES(id)                                                                                                               \
  "($1::text IS NULL OR job_type ILIKE $1 OR payload::text ILIKE $1 OR error_message ILIKE $1 OR idempotency_key ILIKE $1 OR '%' || " id \
  " || '%' = $1) AND ($2::text IS NULL OR job_type = $2) AND " id " < $3 ORDER BY " id " DESC LIMIT $4"
constexpr char kSearchPresent[] = HEARTH_POSTGRES_SELECT_JOB "WHERE " HEARTH_MATCHES("id");
constexpr char kSearchPending[] = HEARTH_POSTGRES_SELECT_JOB "WHERE status = 'pending' AND " HEARTH_MATCHES("id");
constexpr char kSearchFailed[] = HEARTH_POSTGRES_SELECT_JOB "WHERE status = 'pending' AND failed_at IS NOT NULL AND " HEARTH_MATCHES("id");
constexpr char kSearchProcessing[] = HEARTH_POSTGRES_SELECT_JOB "WHERE status = 'processing' AND " HEARTH_MATCHES("id");
constexpr char kSearchDead[] = HEARTH_POSTGRES_SELECT_JOB "WHERE status = 'dead' AND " HEARTH_MATCHES("id");
#define HEARTH_IS_ENDED "status IN ('completed', 'cancelled') "
constexpr char kSearchEnded[] = HEARTH_POSTGRES_SELECT_ENDED_JOB "WHERE " HEARTH_IS_ENDED "AND " HEARTH_MATCHES("job_id");
constexpr char kSearchCompleted[] =
    HEARTH_POSTGRES_SELECT_ENDED_JOB "WHERE " HEARTH_IS_ENDED "AND status = 'completed' AND " HEARTH_MATCHES("job_id");
constexpr char kSearchCancelled[] =
    HEARTH_POSTGRES_SELECT_ENDED_JOB "WHERE " HEARTH_IS_ENDED "AND status = 'cancelled' AND " HEARTH_MATCHES("job_id");

// What waits has neither worker nor token; when it last started is not when this attempt did.
constexpr char kCancel[] =
    "WITH cancelled AS (DELETE FROM background_jobs WHERE id = $1 AND status <> 'dead' RETURNING *, status = 'processing' AS is_running), "
    "moved AS (INSERT INTO job_history (job_id, job_type, status, attempts, worker_id, lease_token, started_at, ended_at, duration_ms, "
    "payload, url, progress, priority, max_attempts, scheduled_for, failed_at, created_at, idempotency_key) "
    "SELECT id, job_type, 'cancelled', attempts, CASE WHEN is_running THEN worker_id END, CASE WHEN is_running THEN lease_token END, "
    "CASE WHEN is_running THEN started_at END, statement_timestamp(), "
    "CASE WHEN is_running THEN extract(epoch FROM statement_timestamp() - started_at) * 1000 END, payload, url, progress, priority, "
    "max_attempts, scheduled_for, failed_at, created_at, idempotency_key FROM cancelled) SELECT idempotency_key FROM cancelled";
constexpr char kReleaseKey[] = "SELECT release_job_keys(ARRAY[$1])";

// The key first: who inserts a job with it may be about to take it from this one.
constexpr char kLockKey[] = "SELECT FROM job_keys WHERE key = (SELECT idempotency_key FROM background_jobs WHERE id = $1) FOR UPDATE";
constexpr char kRetry[] =
    "UPDATE background_jobs SET status = 'pending', attempts = 0, failed_at = NULL, error_message = NULL, "
    "scheduled_for = statement_timestamp(), updated_at = greatest(statement_timestamp(), updated_at + interval '1 microsecond') "
    "WHERE id = $1 AND status = 'dead'";
// Unless another job has taken it since.
constexpr char kTakeKeyAgain[] =
    "INSERT INTO job_keys AS kept (key, job_id) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET ended_at = NULL "
    "WHERE kept.job_id = excluded.job_id";
constexpr char kAnnounce[] = "SELECT pg_notify($1, '')";

// Each part has an index that holds all it counts.
constexpr char kCounts[] =
    "SELECT 'pending', job_type, count(*), min(scheduled_for) FROM background_jobs WHERE status = 'pending' GROUP BY job_type "
    "UNION ALL SELECT 'failed', job_type, count(*), NULL FROM background_jobs WHERE status = 'pending' AND failed_at IS NOT NULL "
    "GROUP BY job_type "
    "UNION ALL SELECT 'processing', job_type, count(*), NULL FROM background_jobs WHERE status = 'processing' GROUP BY job_type "
    "UNION ALL SELECT 'dead', job_type, count(*), NULL FROM background_jobs WHERE status = 'dead' GROUP BY job_type";
constexpr char kCountStuck[] =
    "SELECT count(*), statement_timestamp() FROM background_jobs WHERE status = 'processing' "
    "AND lease_expires_at < statement_timestamp() - $1 * interval '1 second'";
constexpr char kCountPending[] = "SELECT count(*) FROM background_jobs WHERE status = 'pending'";
constexpr char kStaleRefused[] = "SELECT coalesce(sum(refused), 0)::bigint FROM stale_answers";

constexpr char kTypes[] =
    "SELECT job_type, is_paused, rate_count, rate_window_ms, max_attempts, retry_base_s, retry_max_s FROM job_types ORDER BY job_type";
constexpr char kPause[] =
    "INSERT INTO job_types (job_type, is_paused) VALUES ($1, $2) ON CONFLICT (job_type) DO UPDATE SET is_paused = excluded.is_paused";
// The starts of the last window still count.
constexpr char kConfigure[] =
    "INSERT INTO job_types (job_type, rate_count, rate_window_ms, max_attempts, retry_base_s, retry_max_s) VALUES ($1, $2, $3, $4, $5, $6) "
    "ON CONFLICT (job_type) DO UPDATE SET rate_count = excluded.rate_count, rate_window_ms = excluded.rate_window_ms, "
    "max_attempts = excluded.max_attempts, retry_base_s = excluded.retry_base_s, retry_max_s = excluded.retry_max_s";
constexpr char kForgetDefaults[] =
    "DELETE FROM job_types WHERE job_type = $1 AND NOT is_paused AND rate_count IS NULL AND max_attempts IS NULL AND retry_base_s IS NULL "
    "AND retry_max_s IS NULL";
constexpr char kForgetStarts[] =
    "DELETE FROM job_starts WHERE job_type = $1 AND NOT EXISTS (SELECT FROM job_types WHERE job_type = $1 AND rate_count IS NOT NULL)";
constexpr char kCountTypes[] = "SELECT count(*) FROM job_types";

// What another transaction holds is left to the next time.
constexpr char kPruneKeys[] =
    "DELETE FROM job_keys WHERE key IN (SELECT key FROM job_keys WHERE ended_at <= statement_timestamp() - $1 * interval '1 hour' "
    "ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
// A job that a key still names stays, so that who comes with the key gets it as the answer.
#define HEARTH_IS_NAMED(id) "EXISTS (SELECT FROM job_keys WHERE job_keys.key = old.idempotency_key AND job_keys.job_id = old." id ")"
constexpr char kPruneHistory[] =
    "DELETE FROM job_history WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_history AS old WHERE ended_at < $1 "
    "AND NOT " HEARTH_IS_NAMED("job_id") " ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
constexpr char kPruneDead[] =
    "DELETE FROM background_jobs WHERE id IN (SELECT id FROM background_jobs AS old WHERE status = 'dead' AND failed_at < $1 "
    "AND NOT " HEARTH_IS_NAMED("id") " ORDER BY failed_at LIMIT $2 FOR UPDATE SKIP LOCKED) AND status = 'dead'";
constexpr char kSumUp[] =
    "WITH counted AS (DELETE FROM stale_answers WHERE ctid = ANY (ARRAY(SELECT ctid FROM stale_answers LIMIT 10000 FOR UPDATE SKIP "
    "LOCKED)) "
    "RETURNING refused) INSERT INTO stale_answers SELECT sum(refused) FROM counted HAVING count(*) > 0";

std::optional<Job> find_job(Connection& connection, JobId id) {
  auto found = find_jobs(connection, {std::to_underlying(id)});
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<JobDetails> find_details(Connection& connection, JobId id) {
  auto job = find_job(connection, id);
  if (!job) return job_missing(id);
  JobDetails details{std::move(*job), {}};
  auto row = connection.query(kAttempts, std::to_underlying(id), kAttemptsMax);
  while (row.next()) {
    Attempt attempt{.number = static_cast<int>(row.integer(0)),
                    .status = row.string(1),
                    .started_at = optional_time(row, 2),
                    .ended_at = row.time(3),
                    .error_message = row.optional_string(5),
                    .worker = row.optional_string(6)};
    if (!row.is_null(4)) attempt.duration = std::chrono::milliseconds(row.integer(4));
    details.attempts.push_back(std::move(attempt));
  }
  std::ranges::reverse(details.attempts);
  return details;
}

// --- search ---

std::string pattern_of(std::string_view text) {
  std::string pattern = "%";
  for (char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

// The statements whose answers together are the search's.
std::vector<const char*> statements_of(const JobSearch& search) {
  if (!search.status) return {kSearchPresent, kSearchEnded};
  switch (*search.status) {
    case JobStatus::kPending:
      return {search.has_failed ? kSearchFailed : kSearchPending};
    case JobStatus::kProcessing:
      return {kSearchProcessing};
    case JobStatus::kDead:
      return {kSearchDead};
    case JobStatus::kCompleted:
      return {kSearchCompleted};
    case JobStatus::kCancelled:
      return {kSearchCancelled};
  }
  HEARTH_ASSERT(false);
}

JobPage find_page(Connection& connection, const JobSearch& search) {
  connection.limit_statements(kSearchMax);
  std::optional<std::string> pattern;
  if (search.text) pattern = pattern_of(*search.text);
  auto below = search.before ? std::to_underlying(*search.before) : std::numeric_limits<std::int64_t>::max();
  JobPage page;
  for (const char* sql : statements_of(search)) {
    auto rows = connection.query(sql, pattern, search.type, below, search.limit + 1);
    while (rows.next()) page.jobs.push_back(job_in(rows));
  }
  std::ranges::sort(page.jobs, std::greater(), &Job::id);
  if (page.jobs.size() > search.limit) {
    page.jobs.resize(search.limit);
    page.next = page.jobs.back().id;
  }
  return page;
}

// --- cancel, retry ---

Result<Job> cancel_job(Connection& connection, JobId id) {
  auto cancelled = connection.query(kCancel, std::to_underlying(id));
  bool is_cancelled = cancelled.next();
  if (is_cancelled && !cancelled.is_null(0)) connection.query(kReleaseKey, cancelled.text(0));
  auto job = find_job(connection, id);
  if (!job) return job_missing(id);
  if (is_cancelled || job->status == JobStatus::kCancelled) return *std::move(job);
  return fail(ErrorCode::kConflict, "job " + to_text(id) + " has ended already: " + std::string(to_text(job->status)));
}

Result<Job> retry_job(Connection& connection, JobId id) {
  connection.query(kLockKey, std::to_underlying(id));
  bool is_retried = connection.run(kRetry, std::to_underlying(id)) > 0;
  auto job = find_job(connection, id);
  if (!job) return job_missing(id);
  if (!is_retried) return fail(ErrorCode::kConflict, "job " + to_text(id) + " is not dead: " + std::string(to_text(job->status)));
  if (job->idempotency_key) connection.run(kTakeKeyAgain, *job->idempotency_key, std::to_underlying(id));
  connection.query(kAnnounce, kPostgresJobsChannel);
  return *std::move(job);
}

// --- stats ---

QueueStats read_stats(Connection& connection) {
  QueueStats stats;
  auto stuck = connection.query(kCountStuck, kStuckAfter.count());
  stats.stuck = static_cast<std::uint64_t>(stuck.first().integer(0));
  UtcMicros now = stuck.time(1);
  stats.stale_refused = static_cast<std::uint64_t>(connection.query(kStaleRefused).first().integer(0));

  std::map<std::string, TypeStats, std::less<>> types;
  auto rows = connection.query(kCounts);
  while (rows.next()) {
    TypeStats& type = types[rows.string(1)];
    auto count = static_cast<std::uint64_t>(rows.integer(2));
    if (rows.text(0) == "pending") {
      type.pending = count;
      auto age = std::chrono::duration_cast<std::chrono::milliseconds>(std::max(now, rows.time(3)) - rows.time(3));
      stats.oldest_pending_age = std::max(stats.oldest_pending_age.value_or(age), age);
    } else {
      (rows.text(0) == "failed" ? type.failed : rows.text(0) == "dead" ? type.dead : type.processing) = count;
    }
  }
  for (auto& [name, type] : types) {
    type.type = name;
    stats.pending += type.pending;
    stats.processing += type.processing;
    stats.failed += type.failed;
    stats.dead += type.dead;
    stats.by_type.push_back(std::move(type));
  }
  return stats;
}

// --- settings ---

std::vector<TypeSettings> read_types(Connection& connection) {
  std::vector<TypeSettings> types;
  auto row = connection.query(kTypes);
  while (row.next()) {
    TypeSettings& type = types.emplace_back();
    type.type = row.string(0);
    type.is_paused = row.boolean(1);
    if (!row.is_null(2)) type.rate = {.count = static_cast<int>(row.integer(2)), .window = std::chrono::milliseconds(row.integer(3))};
    if (!row.is_null(4)) type.max_attempts = static_cast<int>(row.integer(4));
    if (!row.is_null(5)) type.retry_base = std::chrono::seconds(row.integer(5));
    if (!row.is_null(6)) type.retry_max = std::chrono::seconds(row.integer(6));
  }
  return types;
}

// After a change of one type's settings: forgets those that say nothing, and tells the other nodes.
Result<void> settle_type(Connection& connection, std::string_view type) {
  connection.run(kForgetDefaults, type);
  connection.run(kForgetStarts, type);
  if (connection.query(kCountTypes).first().integer(0) > static_cast<std::int64_t>(kJobTypesMax))
    return fail(ErrorCode::kTooLarge, "settings are kept for at most 1000 job types");
  connection.query(kAnnounce, kPostgresJobsChannel);
  return {};
}

std::optional<std::int64_t> seconds_of(const std::optional<std::chrono::seconds>& time) {
  if (!time) return std::nullopt;
  return time->count();
}

Result<void> write_settings(Connection& connection, const TypeSettings& settings) {
  std::optional<std::int64_t> count, window_ms, max_attempts;
  if (settings.rate) {
    count = settings.rate->count;
    window_ms = settings.rate->window.count();
  }
  if (settings.max_attempts) max_attempts = *settings.max_attempts;
  connection.run(kConfigure, settings.type, count, window_ms, max_attempts, seconds_of(settings.retry_base),
                 seconds_of(settings.retry_max));
  return settle_type(connection, settings.type);
}

std::size_t prune_rows(Connection& connection, UtcMicros before, std::size_t limit) {
  auto keys = connection.run(kPruneKeys, kIdempotencyKeyKept.count(), limit);
  auto attempts = connection.run(kPruneHistory, before, limit);
  auto dead = connection.run(kPruneDead, before, limit);
  connection.run(kSumUp);
  return keys + attempts + dead;
}

}  // namespace

Task<Result<JobDetails>> PostgresJobAdmin::find(JobId id) {
  co_return co_await database_.read([id](Connection& connection) { return find_details(connection, id); });
}

Task<Result<JobPage>> PostgresJobAdmin::search(JobSearch search) {
  HEARTH_ASSERT(search.limit > 0 && search.limit <= kJobsPerPageMax);
  co_return co_await database_.read(
      [search = std::move(search)](Connection& connection) -> Result<JobPage> { return find_page(connection, search); });
}

Task<Result<Job>> PostgresJobAdmin::cancel(JobId id) {
  co_return co_await database_.write([id](Connection& connection) { return cancel_job(connection, id); });
}

Task<Result<Job>> PostgresJobAdmin::retry(JobId id) {
  auto job = co_await database_.write([id](Connection& connection) { return retry_job(connection, id); });
  if (job) signal_.notify();
  co_return job;
}

Task<Result<QueueStats>> PostgresJobAdmin::stats() {
  co_return co_await database_.read([](Connection& connection) -> Result<QueueStats> { return read_stats(connection); });
}

Task<Result<QueueHealth>> PostgresJobAdmin::health() {
  co_return co_await database_.read([](Connection& connection) -> Result<QueueHealth> {
    return QueueHealth{.stuck = static_cast<std::uint64_t>(connection.query(kCountStuck, kStuckAfter.count()).first().integer(0)),
                       .pending = static_cast<std::uint64_t>(connection.query(kCountPending).first().integer(0))};
  });
}

Task<Result<std::vector<TypeSettings>>> PostgresJobAdmin::types() {
  co_return co_await database_.read([](Connection& connection) -> Result<std::vector<TypeSettings>> { return read_types(connection); });
}

Task<Result<void>> PostgresJobAdmin::set_paused(std::string type, bool is_paused) {
  auto done = co_await database_.write([type = std::move(type), is_paused](Connection& connection) {
    connection.run(kPause, type, is_paused);
    return settle_type(connection, type);
  });
  if (done && !is_paused) signal_.notify();
  co_return done;
}

Task<Result<void>> PostgresJobAdmin::configure(TypeSettings settings) {
  auto done =
      co_await database_.write([settings = std::move(settings)](Connection& connection) { return write_settings(connection, settings); });
  if (done) signal_.notify();  // a rate may be higher
  co_return done;
}

Task<Result<std::size_t>> PostgresJobAdmin::prune(UtcMicros before, std::size_t limit) {
  co_return co_await database_.write(
      [before, limit](Connection& connection) -> Result<std::size_t> { return prune_rows(connection, before, limit); });
}

}  // namespace hearth::jobs
