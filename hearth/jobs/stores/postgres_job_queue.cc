#include "hearth/jobs/stores/postgres_job_queue.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include "hearth/base/assert.h"
#include "hearth/jobs/stores/postgres_job_rows.h"
#include "hearth/jobs/stores/rules.h"

namespace hearth::jobs {
namespace {

using postgres::Connection;
using postgres::Failure;
using postgres::Rows;

constexpr char kClaim[] =
    "SELECT id, job_type, payload::text, url, attempts, max_attempts, scheduled_for, started_at, lease_token::text, lease_expires_at, "
    "priority, statement_timestamp() FROM " HEARTH_POSTGRES_SHORT_TRANSACTION ", claim_jobs($1, $2, $3, $4, $5, $6, $7)";
constexpr char kComplete[] =
    "SELECT place, became, is_new FROM " HEARTH_POSTGRES_SHORT_TRANSACTION ", complete_jobs($1, $2::text[]::uuid[], $3)";
constexpr char kFail[] =
    "SELECT place, became, is_new FROM " HEARTH_POSTGRES_SHORT_TRANSACTION ", fail_jobs($1, $2::text[]::uuid[], $3, $4, $5)";
constexpr char kSnooze[] =
    "SELECT place, became, is_new FROM " HEARTH_POSTGRES_SHORT_TRANSACTION ", snooze_jobs($1, $2::text[]::uuid[], $3)";
constexpr char kRenew[] =
    "SELECT place, became, is_new, expires_at FROM " HEARTH_POSTGRES_SHORT_TRANSACTION ", renew_jobs($1, $2::text[]::uuid[], $3)";
constexpr char kTakeOver[] = "SELECT take_over_expired_jobs($1) FROM " HEARTH_POSTGRES_SHORT_TRANSACTION;

// What is no UUID is no token that was given out; neither is this one.
constexpr std::string_view kNobodysToken = "00000000-0000-0000-0000-000000000000";

std::string_view token_of(std::string_view token) {
  auto fits = [&](std::size_t i) {
    bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
    return is_dash ? token[i] == '-' : std::isxdigit(static_cast<unsigned char>(token[i])) != 0;
  };
  if (token.size() != kNobodysToken.size()) return kNobodysToken;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (!fits(i)) return kNobodysToken;
  }
  return token;
}

// --- claims ---

// NULL, not an empty array, for types that nobody named.
std::optional<std::vector<std::string>> names_of(const std::vector<TypeLimit>& types) {
  if (types.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (const TypeLimit& type : types) names.push_back(type.type);
  return names;
}

std::vector<std::int64_t> limits_of(const std::vector<TypeLimit>& types) {
  std::vector<std::int64_t> limits;
  for (const TypeLimit& type : types) limits.push_back(static_cast<std::int64_t>(std::min(type.limit, kJobsPerClaimMax)));
  return limits;
}

ClaimedJob claimed_job(const Rows& row) {
  return ClaimedJob{.id = JobId(row.integer(0)),
                    .type = row.string(1),
                    .payload = without_padding(row.text(2)),
                    .url = row.optional_string(3),
                    .attempts = static_cast<int>(row.integer(4)),
                    .max_attempts = static_cast<int>(row.integer(5)),
                    .scheduled_for = row.time(6),
                    .started_at = row.time(7),
                    .lease_token = row.string(8),
                    .lease_expires_at = row.time(9)};
}

Claim claim_jobs(Connection& connection, const ClaimRequest& request) {
  auto rows = connection.query(kClaim, request.worker, names_of(request.types), limits_of(request.types), request.except, request.limit,
                               request.lease.count(), request.takes_webhooks);
  Claim claim;
  std::vector<std::pair<std::int64_t, ClaimedJob>> jobs;  // with their priority
  while (rows.next()) {
    if (rows.is_null(0)) {
      auto wait = std::chrono::ceil<std::chrono::milliseconds>(rows.time(6) - rows.time(11));
      claim.next_due_in = std::max(wait, std::chrono::milliseconds(0));
    } else {
      jobs.emplace_back(rows.integer(10), claimed_job(rows));
    }
  }
  std::ranges::sort(jobs, {}, [](const auto& job) { return std::tuple(-job.first, job.second.scheduled_for, job.second.id); });
  for (auto& [priority, job] : jobs) claim.jobs.push_back(std::move(job));
  return claim;
}

// --- ends ---

// Endings of one kind: their places in the batch, and what the statements take. By job: two who end the same jobs wait for
// each other in the same order.
struct Part {
  Part(const std::vector<Ending>& endings, std::vector<std::size_t> these) : places(std::move(these)) {
    std::ranges::sort(places, {}, [&](std::size_t place) { return endings[place].job; });
    for (std::size_t place : places) {
      jobs.push_back(std::to_underlying(endings[place].job));
      tokens.push_back(token_of(endings[place].lease_token));
    }
  }

  std::vector<std::size_t> places;
  std::vector<std::int64_t> jobs;
  std::vector<std::string_view> tokens;
};

struct EffectFailed {
  Error error;
};

Error unstorable(std::string_view field) {
  return {ErrorCode::kInvalidArgument, std::string(field) + " cannot be kept by PostgreSQL", std::string(field)};
}

std::string_view or_empty(const std::optional<std::string>& text) {
  return text ? std::string_view(*text) : std::string_view();
}

// The answer to an ending that found its attempt ended.
Result<Ended> ended_before(const Ending& ending, std::string_view became) {
  if (became == "missing") return job_missing(ending.job);
  if (became == "stale") return lease_is_stale(ending.job);
  if (became == "snoozed" && std::holds_alternative<Snoozed>(ending.outcome)) return Ended{JobStatus::kPending, true};
  return answer_again(ending.job, ending.outcome, became);
}

// Ends a batch in the transaction of its connection.
class Ender {
 public:
  // `cautious`: one by one, since something in the batch cannot be stored.
  Ender(Connection& connection, const std::vector<Ending>& endings, bool cautious)
      : connection_(connection), endings_(endings), is_cautious_(cautious) {
    answers_.reserve(endings.size());
    for (const Ending& ending : endings) answers_.push_back(job_missing(ending.job));
  }

  std::vector<Result<Ended>> end_all() {
    std::vector<std::size_t> rest(endings_.size());
    for (std::size_t i = 0; i < rest.size(); ++i) rest[i] = i;
    while (!rest.empty()) rest = end_first_of_each_job(rest);
    return std::move(answers_);
  }

 private:
  // What a job is asked later in the batch comes after what it is asked first. Returns those that are left.
  std::vector<std::size_t> end_first_of_each_job(const std::vector<std::size_t>& places) {
    std::set<JobId> seen;
    std::vector<std::size_t> completed, failed, snoozed, single, left;
    for (std::size_t place : places) {
      const Ending& ending = endings_[place];
      const auto* completes = std::get_if<Completed>(&ending.outcome);
      if (!seen.insert(ending.job).second) {
        left.push_back(place);
      } else if (is_cautious_ || (completes != nullptr && completes->effect)) {
        single.push_back(place);
      } else if (completes != nullptr) {
        completed.push_back(place);
      } else {
        (std::holds_alternative<Failed>(ending.outcome) ? failed : snoozed).push_back(place);
      }
    }
    complete(std::move(completed));
    fail(std::move(failed));
    snooze(std::move(snoozed));
    for (std::size_t place : single) end_alone(place);
    return left;
  }

  void complete(std::vector<std::size_t> places) {
    if (places.empty()) return;
    Part part(endings_, std::move(places));
    std::vector<std::string_view> results;
    for (std::size_t place : part.places) {
      answers_[place] = Ended{JobStatus::kCompleted};
      results.push_back(or_empty(std::get<Completed>(endings_[place].outcome).result));
    }
    read_answers(part, connection_.query(kComplete, part.jobs, part.tokens, results));
  }

  void fail(std::vector<std::size_t> places) {
    if (places.empty()) return;
    Part part(endings_, std::move(places));
    std::vector<std::string> errors;
    std::vector<std::int64_t> delays_ms;
    std::vector<std::uint8_t> finals;
    for (std::size_t place : part.places) {
      const auto& failed = std::get<Failed>(endings_[place].outcome);
      errors.push_back(storable(cut(failed.error)));
      delays_ms.push_back(failed.retry_after ? std::max<std::int64_t>(failed.retry_after->count(), 0) : -1);
      finals.push_back(failed.is_final);
    }
    read_answers(part, connection_.query(kFail, part.jobs, part.tokens, errors, delays_ms, finals));
  }

  void snooze(std::vector<std::size_t> places) {
    if (places.empty()) return;
    Part part(endings_, std::move(places));
    std::vector<std::int64_t> waits_ms;
    for (std::size_t place : part.places) {
      answers_[place] = Ended{JobStatus::kPending};
      waits_ms.push_back(std::max<std::int64_t>(std::get<Snoozed>(endings_[place].outcome).wait.count(), 0));
    }
    read_answers(part, connection_.query(kSnooze, part.jobs, part.tokens, waits_ms));
  }

  void read_answers(const Part& part, Rows rows) {
    while (rows.next()) {
      auto place = part.places[static_cast<std::size_t>(rows.integer(0)) - 1];
      if (rows.boolean(2)) {
        answers_[place] = Ended{parse_job_status(rows.text(1)).value()};
      } else {
        answers_[place] = ended_before(endings_[place], rows.text(1));
      }
    }
  }

  // With a way back for itself: its effect may fail, or what is to be stored.
  void end_alone(std::size_t place) {
    try {
      connection_.savepoint([&] { end_one(place); });
    } catch (const EffectFailed& failed) {
      answers_[place] = std::unexpected(failed.error);
    } catch (const Failure& failure) {
      if (!connection_.is_usable() || failure.wants_repeat()) throw;
      answers_[place] = std::unexpected(is_cautious_ && failure.is_of_class("22") ? unstorable("result") : to_error(failure));
    } catch (const std::exception& thrown) {
      answers_[place] = hearth::fail(ErrorCode::kInternal, thrown.what());
    }
  }
  void end_one(std::size_t place) {
    const Ending& ending = endings_[place];
    if (std::holds_alternative<Failed>(ending.outcome)) return fail({place});
    if (std::holds_alternative<Snoozed>(ending.outcome)) return snooze({place});
    complete({place});
    const auto& effect = std::get<Completed>(ending.outcome).effect;
    if (!effect || !answers_[place] || answers_[place]->is_repeated) return;
    if (auto done = effect(&connection_); !done) throw EffectFailed{done.error()};
  }

  std::string storable(std::string_view error) const {
    std::string kept(cut(error));
    // Without knowing which of the bytes are no characters.
    std::ranges::replace_if(kept, [this](char c) { return c == '\0' || (is_cautious_ && static_cast<unsigned char>(c) >= 0x80); }, '?');
    return kept;
  }

  Connection& connection_;
  const std::vector<Ending>& endings_;
  const bool is_cautious_;
  std::vector<Result<Ended>> answers_;
};

bool may_make_work(const Ending& ending) {
  const auto* completed = std::get_if<Completed>(&ending.outcome);
  return completed == nullptr || completed->effect;
}

// --- renewals ---

void renew_some(Connection& connection, const std::vector<LeaseRenewal>& renewals, std::vector<std::size_t> places,
                std::vector<Result<Renewed>>& answers) {
  std::ranges::sort(places, {}, [&](std::size_t place) { return renewals[place].job; });
  std::vector<std::int64_t> jobs;
  std::vector<std::string_view> tokens, progresses;
  for (std::size_t place : places) {
    jobs.push_back(std::to_underlying(renewals[place].job));
    tokens.push_back(token_of(renewals[place].lease_token));
    progresses.push_back(or_empty(renewals[place].progress));
  }
  auto rows = connection.query(kRenew, jobs, tokens, progresses);
  while (rows.next()) {
    auto place = places[static_cast<std::size_t>(rows.integer(0)) - 1];
    auto became = rows.text(1);
    if (rows.boolean(2) || became == "cancelled") {
      answers[place] = Renewed{.is_cancelled = !rows.boolean(2), .lease_expires_at = rows.time(3)};
    } else if (became == "missing") {
      answers[place] = job_missing(renewals[place].job);
    } else {
      answers[place] = became == "stale" ? lease_is_stale(renewals[place].job) : attempt_ended_otherwise(renewals[place].job, became);
    }
  }
}

// `cautious`: one by one, since the progress of one cannot be stored.
std::vector<Result<Renewed>> renew_all(Connection& connection, const std::vector<LeaseRenewal>& renewals, bool cautious) {
  std::vector<Result<Renewed>> answers;
  std::vector<std::size_t> all;
  for (const LeaseRenewal& renewal : renewals) {
    all.push_back(answers.size());
    answers.push_back(job_missing(renewal.job));
  }
  if (!cautious) {
    renew_some(connection, renewals, all, answers);
    return answers;
  }
  for (std::size_t place : all) {
    try {
      connection.savepoint([&] { renew_some(connection, renewals, {place}, answers); });
    } catch (const Failure& failure) {
      if (!failure.is_data_error()) throw;
      answers[place] = std::unexpected(unstorable("progress"));
    }
  }
  return answers;
}

// Runs `work(connection, cautious)` as a transaction; again, cautiously, if the database refused what it stores.
template <typename Answers, typename Work>
Task<Result<Answers>> run_cautiously_if_need_be(postgres::Database& database, Work work) {
  auto done = co_await database.write([work](Connection& connection) -> Result<Answers> {
    try {
      return work(connection, false);
    } catch (const Failure& failure) {
      if (!failure.is_data_error()) throw;
      return std::unexpected(unstorable("result"));
    }
  });
  if (done || done.error().code != ErrorCode::kInvalidArgument) co_return done;
  co_return co_await database.write([work](Connection& connection) -> Result<Answers> { return work(connection, true); });
}

}  // namespace

Task<Result<std::vector<EnqueuedJob>>> PostgresJobQueue::enqueue(std::vector<JobDraft> drafts) {
  HEARTH_ASSERT(drafts.size() <= kJobsPerEnqueueMax);
  for (const JobDraft& draft : drafts) {
    if (auto storable = check_storable(draft); !storable) co_return std::unexpected(storable.error());
  }
  // Who debounces may have to wait for another program's transaction, and keeps nobody else waiting meanwhile.
  if (std::ranges::none_of(drafts, [](const JobDraft& draft) { return draft.debounce.has_value(); })) {
    co_return co_await groups_.enqueue(std::move(drafts));
  }
  auto made = co_await database_.write([drafts = std::move(drafts)](Connection& connection) -> Result<std::vector<EnqueuedJob>> {
    try {
      return insert_jobs(connection, drafts);
    } catch (const Failure& failure) {
      if (!failure.is_data_error()) throw;
      return std::unexpected(to_draft_error(failure));
    }
  });
  if (made) signal_.notify();
  co_return made;
}

Result<void> PostgresJobQueue::enqueue_in(SqlTransaction transaction, const JobDraft& draft) {
  if (auto storable = check_storable(draft); !storable) return storable;
  insert_jobs(*std::get<Connection*>(transaction), {&draft, 1});
  return {};
}

Task<Result<Claim>> PostgresJobQueue::claim(ClaimRequest request) {
  HEARTH_ASSERT(request.limit > 0 && request.limit <= kJobsPerClaimMax);
  co_return co_await database_.write(
      [request = std::move(request)](Connection& connection) -> Result<Claim> { return claim_jobs(connection, request); });
}

Task<Result<std::vector<Result<Ended>>>> PostgresJobQueue::end(std::vector<Ending> endings) {
  if (endings.empty()) co_return std::vector<Result<Ended>>();
  bool is_news = std::ranges::any_of(endings, may_make_work);
  auto answers = co_await run_cautiously_if_need_be<std::vector<Result<Ended>>>(
      database_, [endings = std::move(endings)](Connection& connection, bool cautious) -> Result<std::vector<Result<Ended>>> {
        return Ender(connection, endings, cautious).end_all();
      });
  if (answers && is_news) signal_.notify();
  co_return answers;
}

Task<Result<std::vector<Result<Renewed>>>> PostgresJobQueue::renew(std::vector<LeaseRenewal> renewals) {
  if (renewals.empty()) co_return std::vector<Result<Renewed>>();
  co_return co_await run_cautiously_if_need_be<std::vector<Result<Renewed>>>(
      database_, [renewals = std::move(renewals)](Connection& connection, bool cautious) -> Result<std::vector<Result<Renewed>>> {
        return renew_all(connection, renewals, cautious);
      });
}

Task<Result<std::size_t>> PostgresJobQueue::take_over_expired(std::size_t limit) {
  auto taken = co_await database_.write([limit](Connection& connection) -> Result<std::size_t> {
    return static_cast<std::size_t>(connection.query(kTakeOver, limit).first().integer(0));
  });
  if (taken && *taken > 0) signal_.notify();
  co_return taken;
}

}  // namespace hearth::jobs
