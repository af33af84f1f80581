#include "hearth/jobs/stores/sqlite_job_admin.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/jobs/stores/rules.h"
#include "hearth/jobs/stores/sqlite_job_rows.h"

namespace hearth::jobs {
namespace {

constexpr char kAttempts[] =
    "SELECT attempts, status, started_at, ended_at, duration_ms, error_message, worker_id FROM job_history WHERE job_id = ?1 "
    "ORDER BY number > 0, number DESC LIMIT ?2";

// ?1: the text, escaped; ?2: the type; ?3: the page starts below this id; ?4: how many.
#define HEARTH_MATCHES(id)                                                                                                           \
  "(?1 IS NULL OR job_type LIKE ?1 ESCAPE '\\' OR payload LIKE ?1 ESCAPE '\\' OR error_message LIKE ?1 ESCAPE '\\' OR "              \
  "idempotency_key LIKE ?1 ESCAPE '\\' OR '%' || " id " || '%' = ?1) AND (?2 IS NULL OR job_type = ?2) AND " id " < ?3 ORDER BY " id \
  " DESC LIMIT ?4"
constexpr char kSearchPresent[] = HEARTH_SELECT_JOB "WHERE " HEARTH_MATCHES("id");
constexpr char kSearchPending[] = HEARTH_SELECT_JOB "WHERE status = 'pending' AND " HEARTH_MATCHES("id");
constexpr char kSearchFailed[] = HEARTH_SELECT_JOB
    "WHERE id IN (SELECT id FROM background_jobs INDEXED BY background_jobs_pending WHERE status = 'pending' AND failed_at IS NOT NULL) "
    "AND " HEARTH_MATCHES("id");
constexpr char kSearchProcessing[] =
    HEARTH_SELECT_JOB "INDEXED BY background_jobs_leases WHERE status = 'processing' AND " HEARTH_MATCHES("id");
constexpr char kSearchDead[] = HEARTH_SELECT_JOB "INDEXED BY background_jobs_dead WHERE status = 'dead' AND " HEARTH_MATCHES("id");
constexpr char kSearchEnded[] = HEARTH_SELECT_ENDED_JOB "WHERE number = 0 AND " HEARTH_MATCHES("job_id");
constexpr char kSearchCompleted[] = HEARTH_SELECT_ENDED_JOB "WHERE number = 0 AND status = 'completed' AND " HEARTH_MATCHES("job_id");
constexpr char kSearchCancelled[] = HEARTH_SELECT_ENDED_JOB "WHERE number = 0 AND status = 'cancelled' AND " HEARTH_MATCHES("job_id");

constexpr char kRetry[] =
    "UPDATE background_jobs SET status = 'pending', attempts = 0, failed_at = NULL, error_message = NULL, scheduled_for = ?2, "
    "updated_at = max(?2, updated_at + 1) WHERE id = ?1 AND status = 'dead'";
// Unless another job has taken it since.
constexpr char kTakeKeyAgain[] =
    "INSERT INTO job_keys (key, job_id) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET ended_at = NULL WHERE job_id = excluded.job_id";

#define HEARTH_PENDING "FROM background_jobs INDEXED BY background_jobs_pending WHERE status = 'pending'"
constexpr char kCountPending[] =
    "SELECT job_type, count(*), count(failed_at), min(scheduled_for) " HEARTH_PENDING " GROUP BY has_url, job_type";
constexpr char kCountAllPending[] = "SELECT count(*) " HEARTH_PENDING;
constexpr char kCountProcessing[] =
    "SELECT job_type, count(*) FROM background_jobs INDEXED BY background_jobs_leases WHERE status = 'processing' GROUP BY job_type";
constexpr char kCountDead[] =
    "SELECT job_type, count(*) FROM background_jobs INDEXED BY background_jobs_dead WHERE status = 'dead' GROUP BY job_type";
constexpr char kCountStuck[] = "SELECT count(*) FROM background_jobs WHERE status = 'processing' AND lease_expires_at < ?1";
constexpr char kStaleRefused[] = "SELECT coalesce((SELECT value FROM job_counters WHERE name = 'stale_refused'), 0)";

constexpr char kTypes[] =
    "SELECT job_type, is_paused, rate_count, rate_window_ms, max_attempts, retry_base_s, retry_max_s FROM job_types ORDER BY job_type";
constexpr char kPause[] =
    "INSERT INTO job_types (job_type, is_paused) VALUES (?1, ?2) ON CONFLICT (job_type) DO UPDATE SET is_paused = excluded.is_paused";
// The starts of the last window still count.
constexpr char kConfigure[] =
    "INSERT INTO job_types (job_type, rate_count, rate_window_ms, max_attempts, retry_base_s, retry_max_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
    "ON CONFLICT (job_type) DO UPDATE SET rate_count = excluded.rate_count, rate_window_ms = excluded.rate_window_ms, "
    "max_attempts = excluded.max_attempts, retry_base_s = excluded.retry_base_s, retry_max_s = excluded.retry_max_s";
constexpr char kForgetDefaults[] =
    "DELETE FROM job_types WHERE job_type = ?1 AND NOT is_paused AND rate_count IS NULL AND max_attempts IS NULL AND retry_base_s IS NULL "
    "AND retry_max_s IS NULL";
constexpr char kCountTypes[] = "SELECT count(*) FROM job_types";

constexpr char kPruneKeys[] =
    "DELETE FROM job_keys WHERE key IN (SELECT key FROM job_keys WHERE ended_at <= ?1 ORDER BY ended_at LIMIT ?2)";
// A job that a key still names stays, so that who comes with the key gets it as the answer.
#define HEARTH_IS_NAMED(key, id) "EXISTS (SELECT 1 FROM job_keys WHERE job_keys.key = " key " AND job_keys.job_id = " id ")"
constexpr char kPruneHistory[] =
    "DELETE FROM job_history WHERE (job_id, number) IN (SELECT job_id, number FROM job_history AS old WHERE ended_at < ?1 "
    "AND NOT " HEARTH_IS_NAMED("old.idempotency_key", "old.job_id") " ORDER BY ended_at LIMIT ?2)";
constexpr char kPruneDead[] =
    "DELETE FROM background_jobs WHERE id IN (SELECT id FROM background_jobs AS old WHERE status = 'dead' AND failed_at < ?1 "
    "AND NOT " HEARTH_IS_NAMED("old.idempotency_key", "old.id") " ORDER BY failed_at LIMIT ?2)";

Result<JobDetails> find_details(sqlite::Connection& connection, JobId id) {
  auto job = find_job(connection, id);
  if (!job) return job_missing(id);
  JobDetails details{std::move(*job), {}};
  auto& row = connection.statement(kAttempts).query(std::to_underlying(id), kAttemptsMax);
  while (row.next()) {
    Attempt attempt{.number = static_cast<int>(row.integer(0)),
                    .status = row.string(1),
                    .started_at = optional_time(row, 2),
                    .ended_at = time_of(row.integer(3)),
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

JobPage find_page(sqlite::Connection& connection, const JobSearch& search) {
  std::optional<std::string> pattern;
  if (search.text) pattern = pattern_of(*search.text);
  auto below = search.before ? std::to_underlying(*search.before) : INT64_MAX;
  JobPage page;
  for (const char* sql : statements_of(search)) {
    auto& row = connection.statement(sql).query(pattern, search.type, below, search.limit + 1);
    while (row.next()) page.jobs.push_back(job_in(row));
  }
  std::ranges::sort(page.jobs, std::greater(), &Job::id);
  if (page.jobs.size() > search.limit) {
    page.jobs.resize(search.limit);
    page.next = page.jobs.back().id;
  }
  return page;
}

// --- cancel, retry ---

Result<Job> cancel_job(sqlite::Connection& connection, JobId id, UtcMicros now) {
  bool is_cancelled = cancel(connection, id, now);
  auto job = find_job(connection, id);
  if (!job) return job_missing(id);
  if (is_cancelled || job->status == JobStatus::kCancelled) return *std::move(job);
  return fail(ErrorCode::kConflict, "job " + to_text(id) + " has ended already: " + std::string(to_text(job->status)));
}

Result<Job> retry_job(sqlite::Connection& connection, JobId id, UtcMicros now) {
  bool is_retried = connection.statement(kRetry).run(std::to_underlying(id), micros(now)) > 0;
  auto job = find_job(connection, id);
  if (!job) return job_missing(id);
  if (!is_retried) return fail(ErrorCode::kConflict, "job " + to_text(id) + " is not dead: " + std::string(to_text(job->status)));
  if (job->idempotency_key) connection.statement(kTakeKeyAgain).run(*job->idempotency_key, std::to_underlying(id));
  return *std::move(job);
}

// --- stats ---

template <typename... Args>
std::int64_t integer_of(sqlite::Connection& connection, const char* sql, const Args&... args) {
  auto& row = connection.statement(sql).query(args...);
  HEARTH_ASSERT(row.next());
  std::int64_t value = row.integer(0);
  row.reset();
  return value;
}

std::uint64_t count_stuck(sqlite::Connection& connection, UtcMicros now) {
  return static_cast<std::uint64_t>(integer_of(connection, kCountStuck, micros(now - kStuckAfter)));
}

QueueStats read_stats(sqlite::Connection& connection, UtcMicros now) {
  std::map<std::string, TypeStats, std::less<>> types;
  auto count = [&](const char* sql, std::uint64_t TypeStats::* of) {
    auto& row = connection.statement(sql).query();
    while (row.next()) types[row.string(0)].*of += static_cast<std::uint64_t>(row.integer(1));
  };
  std::optional<UtcMicros> oldest;
  auto& pending = connection.statement(kCountPending).query();
  while (pending.next()) {
    TypeStats& type = types[pending.string(0)];
    oldest = std::min(oldest.value_or(UtcMicros::max()), time_of(pending.integer(3)));
    type.pending += static_cast<std::uint64_t>(pending.integer(1));
    type.failed += static_cast<std::uint64_t>(pending.integer(2));
  }
  count(kCountProcessing, &TypeStats::processing);
  count(kCountDead, &TypeStats::dead);
  QueueStats stats{.stuck = count_stuck(connection, now),
                   .stale_refused = static_cast<std::uint64_t>(integer_of(connection, kStaleRefused)),
                   .by_type = {}};
  if (oldest) stats.oldest_pending_age = std::chrono::duration_cast<std::chrono::milliseconds>(std::max(now, *oldest) - *oldest);
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

std::vector<TypeSettings> read_types(sqlite::Connection& connection) {
  std::vector<TypeSettings> types;
  auto& row = connection.statement(kTypes).query();
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

// After a change of one type's settings: forgets those that say nothing.
Result<void> check_count(sqlite::Connection& connection, std::string_view type) {
  connection.statement(kForgetDefaults).run(type);
  if (integer_of(connection, kCountTypes) <= static_cast<std::int64_t>(kJobTypesMax)) return {};
  return fail(ErrorCode::kTooLarge, "settings are kept for at most 1000 job types");
}

std::optional<std::int64_t> seconds_of(const std::optional<std::chrono::seconds>& time) {
  if (!time) return std::nullopt;
  return time->count();
}

Result<void> write_settings(sqlite::Connection& connection, const TypeSettings& settings) {
  std::optional<int> count;
  std::optional<std::int64_t> window_ms;
  if (settings.rate) {
    count = settings.rate->count;
    window_ms = settings.rate->window.count();
  }
  connection.statement(kConfigure)
      .run(settings.type, count, window_ms, settings.max_attempts, seconds_of(settings.retry_base), seconds_of(settings.retry_max));
  return check_count(connection, settings.type);
}

std::size_t prune_rows(sqlite::Connection& connection, UtcMicros before, std::size_t limit, UtcMicros now) {
  int keys = connection.statement(kPruneKeys).run(micros(now - kIdempotencyKeyKept), limit);
  int attempts = connection.statement(kPruneHistory).run(micros(before), limit);
  int dead = connection.statement(kPruneDead).run(micros(before), limit);
  return static_cast<std::size_t>(keys) + static_cast<std::size_t>(attempts) + static_cast<std::size_t>(dead);
}

}  // namespace

Task<Result<JobDetails>> SqliteJobAdmin::find(JobId id) {
  co_return co_await database_.read([id](sqlite::Connection& connection) { return find_details(connection, id); });
}

Task<Result<JobPage>> SqliteJobAdmin::search(JobSearch search) {
  HEARTH_ASSERT(search.limit > 0 && search.limit <= kJobsPerPageMax);
  co_return co_await database_.read(
      [search = std::move(search)](sqlite::Connection& connection) -> Result<JobPage> { return find_page(connection, search); });
}

Task<Result<Job>> SqliteJobAdmin::cancel(JobId id) {
  co_return co_await database_.write(
      [id, &clock = clock_](sqlite::Connection& connection) { return cancel_job(connection, id, clock.now()); });
}

Task<Result<Job>> SqliteJobAdmin::retry(JobId id) {
  auto job =
      co_await database_.write([id, &clock = clock_](sqlite::Connection& connection) { return retry_job(connection, id, clock.now()); });
  if (job) signal_.notify();
  co_return job;
}

Task<Result<QueueStats>> SqliteJobAdmin::stats() {
  co_return co_await database_.read(
      [now = clock_.now()](sqlite::Connection& connection) -> Result<QueueStats> { return read_stats(connection, now); });
}

Task<Result<QueueHealth>> SqliteJobAdmin::health() {
  co_return co_await database_.read([now = clock_.now()](sqlite::Connection& connection) -> Result<QueueHealth> {
    return QueueHealth{.stuck = count_stuck(connection, now),
                       .pending = static_cast<std::uint64_t>(integer_of(connection, kCountAllPending))};
  });
}

Task<Result<std::vector<TypeSettings>>> SqliteJobAdmin::types() {
  co_return co_await database_.read(
      [](sqlite::Connection& connection) -> Result<std::vector<TypeSettings>> { return read_types(connection); });
}

Task<Result<void>> SqliteJobAdmin::set_paused(std::string type, bool is_paused) {
  auto done = co_await database_.write([type = std::move(type), is_paused](sqlite::Connection& connection) {
    connection.statement(kPause).run(type, is_paused);
    return check_count(connection, type);
  });
  if (done && !is_paused) signal_.notify();
  co_return done;
}

Task<Result<void>> SqliteJobAdmin::configure(TypeSettings settings) {
  auto done = co_await database_.write(
      [settings = std::move(settings)](sqlite::Connection& connection) { return write_settings(connection, settings); });
  if (done) signal_.notify();  // a rate may be higher
  co_return done;
}

Task<Result<std::size_t>> SqliteJobAdmin::prune(UtcMicros before, std::size_t limit) {
  co_return co_await database_.write([before, limit, &clock = clock_](sqlite::Connection& connection) -> Result<std::size_t> {
    return prune_rows(connection, before, limit, clock.now());
  });
}

}  // namespace hearth::jobs
