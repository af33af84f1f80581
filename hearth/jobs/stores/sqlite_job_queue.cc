#include "hearth/jobs/stores/sqlite_job_queue.h"

#include <algorithm>
#include <exception>
#include <map>
#include <set>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/jobs/stores/rules.h"
#include "hearth/jobs/stores/sqlite_job_claim.h"
#include "hearth/jobs/stores/sqlite_job_enqueue.h"
#include "hearth/jobs/stores/sqlite_job_rows.h"

namespace hearth::jobs {
namespace {

constexpr char kSnooze[] =
    "UPDATE background_jobs SET status = 'pending', attempts = attempts - 1, scheduled_for = ?3, worker_id = NULL, "
    "lease_ms = NULL, lease_expires_at = NULL, updated_at = max(?4, updated_at + 1) "
    "WHERE id = ?1 AND status = 'processing' AND lease_token = ?2";
constexpr char kFindLease[] = "SELECT lease_ms FROM background_jobs WHERE id = ?1 AND status = 'processing' AND lease_token = ?2";
constexpr char kFindEndedAttempt[] =
    "SELECT status FROM job_history WHERE job_id = ?1 AND lease_token = ?2 AND NOT is_taken_over UNION ALL "
    "SELECT 'snoozed' FROM background_jobs WHERE id = ?1 AND status = 'pending' AND lease_token = ?2";
constexpr char kExists[] =
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM background_jobs WHERE id = ?1) OR EXISTS (SELECT 1 FROM job_history WHERE job_id = ?1)";
constexpr char kCountStale[] =
    "INSERT INTO job_counters (name, value) VALUES ('stale_refused', ?1) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value";
constexpr char kRenew[] =
    "UPDATE background_jobs SET lease_expires_at = ?2, progress = coalesce(?3, progress), updated_at = max(?4, updated_at + 1) "
    "WHERE id = ?1";
constexpr char kFindExpired[] =
    "SELECT id FROM background_jobs WHERE status = 'processing' AND lease_expires_at <= ?1 ORDER BY lease_expires_at LIMIT ?2";

// --- ends ---

// The length of the lease, if it is that of the present attempt.
std::optional<std::chrono::milliseconds> find_lease(sqlite::Connection& connection, JobId job, const std::string& lease_token) {
  auto& row = connection.statement(kFindLease).query(std::to_underlying(job), lease_token);
  if (!row.next()) return std::nullopt;
  std::chrono::milliseconds lease(row.integer(0));
  row.reset();
  return lease;
}

// How an attempt ended, if it was by its worker or a cancellation.
std::optional<std::string> status_of_ended(sqlite::Connection& connection, JobId job, const std::string& lease_token) {
  auto& row = connection.statement(kFindEndedAttempt).query(std::to_underlying(job), lease_token);
  if (!row.next()) return std::nullopt;
  std::string status = row.string(0);
  row.reset();
  return status;
}

// kNotFound or kStaleLease.
std::unexpected<Error> refusal(sqlite::Connection& connection, JobId job) {
  auto& row = connection.statement(kExists).query(std::to_underlying(job));
  bool exists = row.next();
  row.reset();
  return exists ? lease_is_stale(job) : job_missing(job);
}

Result<Ended> not_ours(sqlite::Connection& connection, const Ending& ending) {
  if (auto status = status_of_ended(connection, ending.job, ending.lease_token)) return answer_again(ending.job, ending.outcome, *status);
  return refusal(connection, ending.job);
}

Result<Ended> end_by(sqlite::Connection& connection, const Ending& ending, const Completed& completed, UtcMicros now) {
  if (complete(connection, {{ending.job, ending.lease_token, completed.result}}, now).empty()) return not_ours(connection, ending);
  if (completed.effect) {
    if (auto done = completed.effect(&connection); !done) return std::unexpected(done.error());
  }
  return Ended{JobStatus::kCompleted};
}

Result<Ended> end_by(sqlite::Connection& connection, const Ending& ending, const Failed& failed, UtcMicros now) {
  if (!find_lease(connection, ending.job, ending.lease_token)) return not_ours(connection, ending);
  return Ended{fail_attempt(
      connection, {.job = ending.job, .error = failed.error, .is_final = failed.is_final, .retry_after = failed.retry_after}, now)};
}

Result<Ended> end_by(sqlite::Connection& connection, const Ending& ending, const Snoozed& snoozed, UtcMicros now) {
  auto id = std::to_underlying(ending.job);
  int changed = connection.statement(kSnooze).run(id, ending.lease_token, micros(now + snoozed.wait), micros(now));
  return changed == 0 ? not_ours(connection, ending) : Ended{JobStatus::kPending};
}

Result<Ended> end_one(sqlite::Connection& connection, const Ending& ending, UtcMicros now) {
  auto end = [&] { return std::visit([&](const auto& outcome) { return end_by(connection, ending, outcome, now); }, ending.outcome); };
  const auto* completed = std::get_if<Completed>(&ending.outcome);
  if (completed == nullptr || !completed->effect) return end();
  // Only what an effect may spoil needs a way back of its own.
  try {
    return connection.savepoint(end);
  } catch (const std::exception& thrown) {
    return fail(ErrorCode::kInternal, thrown.what());
  }
}

template <typename T>
void count_stale(sqlite::Connection& connection, const std::vector<Result<T>>& answers) {
  auto stale = std::ranges::count_if(answers, [](const auto& answer) { return !answer && answer.error().code == ErrorCode::kStaleLease; });
  if (stale > 0) connection.statement(kCountStale).run(stale);
}

// Ends those that completed and have no effect, and says which did. Not those whose job had an ending before them.
std::set<const Ending*> complete_together(sqlite::Connection& connection, const std::vector<Ending>& endings, UtcMicros now) {
  std::map<JobId, const Ending*> first_of;
  std::vector<Completion> completions;
  for (const Ending& ending : endings) {
    const auto* completed = std::get_if<Completed>(&ending.outcome);
    if (first_of.emplace(ending.job, &ending).second && completed != nullptr && !completed->effect)
      completions.push_back({ending.job, ending.lease_token, completed->result});
  }
  std::set<const Ending*> ended;
  if (completions.empty()) return ended;
  for (JobId job : complete(connection, completions, now)) ended.insert(first_of.at(job));
  return ended;
}

Result<std::vector<Result<Ended>>> end_all(sqlite::Connection& connection, const std::vector<Ending>& endings, UtcMicros now) {
  auto completed = complete_together(connection, endings, now);
  std::vector<Result<Ended>> answers;
  answers.reserve(endings.size());
  for (const Ending& ending : endings) {
    answers.push_back(completed.contains(&ending) ? Ended{JobStatus::kCompleted} : end_one(connection, ending, now));
    // A full disk takes back everything, not this one alone.
    if (!connection.is_in_transaction()) return std::unexpected(answers.back().error());
  }
  count_stale(connection, answers);
  return answers;
}

bool may_make_work(const Ending& ending) {
  const auto* completed = std::get_if<Completed>(&ending.outcome);
  return completed == nullptr || completed->effect;
}

Result<Renewed> renew_one(sqlite::Connection& connection, const LeaseRenewal& renewal, UtcMicros now) {
  auto id = std::to_underlying(renewal.job);
  if (auto lease = find_lease(connection, renewal.job, renewal.lease_token)) {
    connection.statement(kRenew).run(id, micros(now + *lease), renewal.progress, micros(now));
    return Renewed{.lease_expires_at = now + *lease};
  }
  auto status = status_of_ended(connection, renewal.job, renewal.lease_token);
  if (!status) return refusal(connection, renewal.job);
  if (*status == "cancelled") return Renewed{.is_cancelled = true, .lease_expires_at = now};
  return attempt_ended_otherwise(renewal.job, *status);
}

std::vector<JobId> expired(sqlite::Connection& connection, std::size_t limit, UtcMicros now) {
  std::vector<JobId> ids;
  auto& row = connection.statement(kFindExpired).query(micros(now), limit);
  while (row.next()) ids.push_back(JobId(row.integer(0)));
  return ids;
}

}  // namespace

Task<Result<std::vector<EnqueuedJob>>> SqliteJobQueue::enqueue(std::vector<JobDraft> drafts) {
  HEARTH_ASSERT(drafts.size() <= kJobsPerEnqueueMax);
  auto made = co_await database_.write(
      [drafts = std::move(drafts), &clock = clock_](sqlite::Connection& connection) -> Result<std::vector<EnqueuedJob>> {
        std::vector<const JobDraft*> in_order;
        for (const JobDraft& draft : drafts) in_order.push_back(&draft);
        return insert_jobs(connection, in_order, clock.now());
      });
  if (made && !made->empty()) signal_.notify();
  co_return made;
}

Result<void> SqliteJobQueue::enqueue_in(SqlTransaction transaction, const JobDraft& draft) {
  const JobDraft* one = &draft;
  insert_jobs(*std::get<sqlite::Connection*>(transaction), {&one, 1}, clock_.now());
  return {};
}

Task<Result<Claim>> SqliteJobQueue::claim(ClaimRequest request) {
  HEARTH_ASSERT(request.limit > 0 && request.limit <= kJobsPerClaimMax);
  co_return co_await database_.write([request = std::move(request), &clock = clock_](sqlite::Connection& connection) -> Result<Claim> {
    return jobs::claim(connection, request, clock.now());
  });
}

Task<Result<std::vector<Result<Ended>>>> SqliteJobQueue::end(std::vector<Ending> endings) {
  bool is_news = std::ranges::any_of(endings, may_make_work);
  auto answers = co_await database_.write([endings = std::move(endings), &clock = clock_](sqlite::Connection& connection) {
    return end_all(connection, endings, clock.now());
  });
  if (answers && is_news) signal_.notify();
  co_return answers;
}

Task<Result<std::vector<Result<Renewed>>>> SqliteJobQueue::renew(std::vector<LeaseRenewal> renewals) {
  co_return co_await database_.write(
      [renewals = std::move(renewals), &clock = clock_](sqlite::Connection& connection) -> Result<std::vector<Result<Renewed>>> {
        UtcMicros now = clock.now();
        std::vector<Result<Renewed>> answers;
        answers.reserve(renewals.size());
        for (const LeaseRenewal& renewal : renewals) answers.push_back(renew_one(connection, renewal, now));
        count_stale(connection, answers);
        return answers;
      });
}

Task<Result<std::size_t>> SqliteJobQueue::take_over_expired(std::size_t limit) {
  auto taken = co_await database_.write([limit, &clock = clock_](sqlite::Connection& connection) -> Result<std::size_t> {
    UtcMicros now = clock.now();
    auto jobs = expired(connection, limit, now);
    for (JobId job : jobs) {
      fail_attempt(connection, {.job = job, .error = kLeaseEnded, .is_taken_over = true, .retry_after = std::chrono::milliseconds(0)}, now);
    }
    return jobs.size();
  });
  if (taken && *taken > 0) signal_.notify();
  co_return taken;
}

}  // namespace hearth::jobs
