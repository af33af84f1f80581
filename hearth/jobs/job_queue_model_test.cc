// Random operations of several workers on two nodes, against a model of what must come of them. After each one the whole of
// the queue is compared: where each job is, what history holds, what the stats say.
//
// A failure prints the shortest sequence of operations that was found for it, and the seed.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/jobs/jobs_under_test.h"
#include "hearth/jobs/stores/postgres_jobs_under_test.h"
#include "hearth/jobs/stores/sqlite_jobs_under_test.h"

namespace hearth::jobs {
namespace {

constexpr std::array kTypes{"a", "b", "c"};

enum class Kind : std::uint8_t { kEnqueue, kClaim, kEnd, kRenew, kTakeOver, kCancel, kRetry, kPause, kPass, kRestart };
constexpr std::array kKindNames{"enqueue", "claim", "end", "renew", "take over", "cancel", "retry", "pause", "pass", "restart"};

// What the numbers mean is the operation's own; each takes them modulo what it has to choose from.
struct Operation {
  Kind kind{};
  std::array<unsigned, 5> with{};
};

void showValue(const Operation& operation, std::ostream& out) {
  out << kKindNames.at(static_cast<std::size_t>(operation.kind));
  for (unsigned number : operation.with) out << ' ' << number;
}

rc::Gen<Operation> any_operation() {
  auto kind = rc::gen::weightedElement<Kind>({{8, Kind::kEnqueue},
                                              {8, Kind::kClaim},
                                              {10, Kind::kEnd},
                                              {3, Kind::kRenew},
                                              {3, Kind::kTakeOver},
                                              {2, Kind::kCancel},
                                              {2, Kind::kRetry},
                                              {2, Kind::kPause},
                                              {5, Kind::kPass},
                                              {1, Kind::kRestart}});
  auto numbers = rc::gen::container<std::array<unsigned, 5>>(rc::gen::inRange(0u, 1'000u));
  return rc::gen::construct<Operation>(kind, numbers);
}

struct ModelJob {
  JobId id{};
  std::string type;
  std::string payload;
  JobStatus status = JobStatus::kPending;
  int priority = 0;
  int attempts = 0;
  int max_attempts = 0;
  milliseconds due{0};  // in the model's time
  bool has_failed = false;
  std::optional<std::string> key = {};
  std::optional<std::string> debounce_key = {};
  std::string token = {};  // of its present attempt
  milliseconds lease{0};
  milliseconds lease_until{0};
  std::vector<std::string> history = {};  // how its attempts ended
};

// What became of an attempt: "running", "stale", or how it ended.
struct ModelAttempt {
  std::size_t job;
  std::string token;
  std::string state = "running";
};

struct ModelKey {
  std::size_t job;
  std::optional<milliseconds> ended_at;
};

class Model {
 public:
  explicit Model(JobsUnderTest& jobs) : jobs_(jobs) {}

  void apply(const Operation& operation) {
    // Nothing happens at the same time as something else: the order of jobs that are due is known on a real clock too.
    pass(milliseconds(1));
    node_ = operation.with[4] % 2;
    switch (operation.kind) {
      case Kind::kEnqueue:
        enqueue(operation.with);
        break;
      case Kind::kClaim:
        claim(operation.with);
        break;
      case Kind::kEnd:
        end(operation.with);
        break;
      case Kind::kRenew:
        renew(operation.with);
        break;
      case Kind::kTakeOver:
        take_over(1 + operation.with[0] % 4);
        break;
      case Kind::kCancel:
        cancel(operation.with[0]);
        break;
      case Kind::kRetry:
        retry(operation.with[0]);
        break;
      case Kind::kPause:
        pause(kTypes.at(operation.with[0] % kTypes.size()), operation.with[1] % 3 == 0);
        break;
      case Kind::kPass:
        pass(hours(1 + operation.with[0] % 12));
        break;
      case Kind::kRestart:
        jobs_.restart();
        break;
    }
    compare();
  }

 private:
  using Numbers = std::array<unsigned, 5>;

  void pass(milliseconds time) {
    jobs_.pass(time);
    now_ += time;
  }

  // --- enqueue ---

  void enqueue(const Numbers& with) {
    JobDraft draft{.type = kTypes.at(with[0] % kTypes.size()),
                   .payload = R"({"n":)" + std::to_string(++payloads_) + "}",
                   .priority = static_cast<int>(with[0] / 3 % 3),
                   .max_attempts = static_cast<int>(1 + with[1] % 3)};
    auto wait = hours(with[2] % 4);
    if (with[3] % 4 == 1) draft.idempotency_key = "key" + std::to_string(with[3] / 4 % 3);
    if (with[3] % 4 == 2) draft.debounce = Debounce{.key = "debounce" + std::to_string(with[3] / 4 % 2), .within = wait};
    if (!draft.debounce && wait > hours(0)) draft.scheduled_for = jobs_.now() + wait;
    auto made = run(jobs_.queue(node_).enqueue({draft})).value().at(0);

    if (auto* first = find_key(draft)) return expect_same(made, *first, true);
    if (auto* waiting = find_debounced(draft)) {
      waiting->payload = draft.payload;
      return expect_same(made, *waiting, false);
    }
    ModelJob& job = all_.emplace_back(ModelJob{.id = made.job.id,
                                               .type = draft.type,
                                               .payload = draft.payload,
                                               .priority = *draft.priority,
                                               .max_attempts = *draft.max_attempts,
                                               .due = now_ + wait,
                                               .key = draft.idempotency_key});
    if (draft.debounce) job.debounce_key = draft.debounce->key;
    if (!job.key) return expect_same(made, job, false);
    for (ModelJob& other : all_) {
      if (&other != &job && other.status == JobStatus::kDead && other.key == job.key) other.key.reset();
    }
    keys_[*job.key] = {all_.size() - 1, std::nullopt};
    expect_same(made, job, false);
  }

  ModelJob* find_key(const JobDraft& draft) {
    if (!draft.idempotency_key) return nullptr;
    auto found = keys_.find(*draft.idempotency_key);
    if (found == keys_.end()) return nullptr;
    const auto& ended_at = found->second.ended_at;
    if (ended_at && *ended_at + kIdempotencyKeyKept < now_) return nullptr;
    return &all_[found->second.job];
  }

  ModelJob* find_debounced(const JobDraft& draft) {
    if (!draft.debounce) return nullptr;
    auto found = std::ranges::find(all_, std::optional(draft.debounce->key), &ModelJob::debounce_key);
    return found == all_.end() ? nullptr : &*found;
  }

  static void expect_same(const EnqueuedJob& made, const ModelJob& job, bool is_duplicate) {
    RC_ASSERT(made.job.id == job.id);
    RC_ASSERT(made.is_duplicate == is_duplicate);
    expect_same(made.job, job);
  }

  // --- claim ---

  bool may_claim(const ModelJob& job, std::optional<std::string_view> type) const {
    return job.status == JobStatus::kPending && !paused_.at(job.type) && (!type || job.type == *type);
  }

  void claim(const Numbers& with) {
    ClaimRequest request{.worker = "w", .limit = 1 + with[0] % 4, .lease = hours(1)};
    std::optional<std::string_view> type;
    if (with[1] % 3 == 0) type = kTypes.at(with[2] % kTypes.size());
    if (type) request.types = {{std::string(*type), request.limit}};
    auto claim = run(jobs_.queue(node_).claim(request)).value();

    std::vector<std::size_t> due;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (may_claim(all_[i], type) && all_[i].due <= now_) due.push_back(i);
    }
    std::ranges::sort(due, {}, [this](std::size_t i) { return std::tuple(-all_[i].priority, all_[i].due, all_[i].id); });
    due.resize(std::min(due.size(), request.limit));
    std::vector<JobId> expected;
    for (std::size_t i : due) expected.push_back(all_[i].id);
    RC_ASSERT(ids_of(claim.jobs) == expected);
    for (std::size_t i = 0; i < due.size(); ++i) start(due[i], claim.jobs[i]);

    std::optional<milliseconds> next;
    for (const ModelJob& job : all_) {
      if (may_claim(job, type)) next = std::min(next.value_or(job.due), job.due);
    }
    RC_ASSERT(claim.next_due_in.has_value() == next.has_value());
    if (next) RC_ASSERT(std::chrono::abs(*claim.next_due_in - std::max(*next - now_, milliseconds(0))) < minutes(10));
  }

  void start(std::size_t index, const ClaimedJob& claimed) {
    ModelJob& job = all_[index];
    for (ModelAttempt& attempt : attempts_) {
      RC_ASSERT(attempt.token != claimed.lease_token);
      if (attempt.job == index && attempt.state == "snoozed") attempt.state = "stale";
    }
    job.status = JobStatus::kProcessing;
    ++job.attempts;
    job.debounce_key.reset();
    job.token = claimed.lease_token;
    job.lease = hours(1);
    job.lease_until = now_ + job.lease;
    attempts_.push_back({index, claimed.lease_token});
    RC_ASSERT(claimed.type == job.type);
    RC_ASSERT(without_spaces(claimed.payload) == job.payload);
    RC_ASSERT(claimed.attempts == job.attempts);
    RC_ASSERT(claimed.attempts <= claimed.max_attempts);
  }

  // --- end ---

  static Outcome outcome_of(unsigned number) {
    auto wait = hours(number / 8 % 4);
    switch (number % 8) {
      case 0:
      case 1:
        return Failed{.error = "no", .retry_after = wait};
      case 2:
        return Failed{.error = "never", .is_final = true};
      case 3:
        return Snoozed{.wait = wait};
      default:
        return Completed{.result = R"({"done":1})"};
    }
  }

  // One to three attempts, whether they run or are long over, perhaps the same one twice.
  void end(const Numbers& with) {
    if (attempts_.empty()) return;
    std::vector<Ending> endings;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i <= with[3] % 3; ++i) {
      // Rather one of the last.
      std::size_t back = with[i] % std::min<std::size_t>(attempts_.size(), with[i] % 2 ? 4 : 100);
      which.push_back(attempts_.size() - 1 - back);
      const ModelAttempt& attempt = attempts_[which.back()];
      endings.push_back({all_[attempt.job].id, attempt.token, outcome_of(with[i] / 7 + static_cast<unsigned>(i))});
    }
    auto answers = run(jobs_.queue(node_).end(endings)).value();
    RC_ASSERT(answers.size() == endings.size());
    for (std::size_t i = 0; i < endings.size(); ++i) {
      auto [code, status, is_repeated] = end_one(attempts_[which[i]], endings[i].outcome);
      RC_ASSERT(refusal(answers[i]) == code);
      if (code == ErrorCode::kStaleLease) ++stale_refused_;
      if (code) continue;
      RC_ASSERT(answers[i]->status == status);
      RC_ASSERT(answers[i]->is_repeated == is_repeated);
    }
  }

  struct Answer {
    std::optional<ErrorCode> refused;
    JobStatus status;
    bool is_repeated;
  };

  Answer end_one(ModelAttempt& attempt, const Outcome& outcome) {
    ModelJob& job = all_[attempt.job];
    if (attempt.state == "running") return Answer{std::nullopt, end_running(job, attempt, outcome), false};
    if (attempt.state == "stale") return Answer{ErrorCode::kStaleLease, {}, false};
    bool failed = std::holds_alternative<Failed>(outcome);
    if (attempt.state == "completed" && std::holds_alternative<Completed>(outcome)) return Answer{{}, JobStatus::kCompleted, true};
    if (attempt.state == "failed" && failed) return Answer{{}, JobStatus::kPending, true};
    if (attempt.state == "dead" && failed) return Answer{{}, JobStatus::kDead, true};
    if (attempt.state == "snoozed" && std::holds_alternative<Snoozed>(outcome)) return Answer{{}, JobStatus::kPending, true};
    return Answer{ErrorCode::kConflict, {}, false};
  }

  JobStatus end_running(ModelJob& job, ModelAttempt& attempt, const Outcome& outcome) {
    if (std::holds_alternative<Completed>(outcome)) {
      finish(job, attempt.state = "completed", JobStatus::kCompleted);
    } else if (const auto* failed = std::get_if<Failed>(&outcome)) {
      attempt.state = fail_attempt(job, failed->is_final, failed->retry_after.value_or(milliseconds(0)));
    } else {
      attempt.state = "snoozed";
      --job.attempts;
      job.status = JobStatus::kPending;
      job.due = now_ + std::get<Snoozed>(outcome).wait;
    }
    return job.status;
  }

  std::string fail_attempt(ModelJob& job, bool is_final, milliseconds retry_after) {
    job.has_failed = true;
    if (is_final || job.attempts == job.max_attempts) {
      finish(job, "dead", JobStatus::kDead);
      return "dead";
    }
    job.history.push_back("failed");
    job.status = JobStatus::kPending;
    job.due = now_ + retry_after;
    return "failed";
  }

  void finish(ModelJob& job, const std::string& ended, JobStatus status) {
    job.history.push_back(ended);
    job.status = status;
    job.debounce_key.reset();
    if (job.key) keys_.at(*job.key).ended_at = now_;
  }

  // --- leases ---

  void renew(const Numbers& with) {
    if (attempts_.empty()) return;
    const ModelAttempt& attempt = attempts_[attempts_.size() - 1 - with[0] % attempts_.size()];
    ModelJob& job = all_[attempt.job];
    auto answer = run(jobs_.queue(node_).renew({{job.id, attempt.token}})).value().at(0);
    if (attempt.state == "running") {
      RC_ASSERT(answer.has_value());
      RC_ASSERT(!answer->is_cancelled);
      job.lease_until = now_ + job.lease;
    } else if (attempt.state == "cancelled") {
      RC_ASSERT(answer.has_value());
      RC_ASSERT(answer->is_cancelled);
    } else if (attempt.state == "stale") {
      RC_ASSERT(refusal(answer) == ErrorCode::kStaleLease);
      ++stale_refused_;
    } else {
      RC_ASSERT(refusal(answer) == ErrorCode::kConflict);
    }
  }

  void take_over(std::size_t limit) {
    std::vector<std::size_t> expired;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (all_[i].status == JobStatus::kProcessing && all_[i].lease_until <= now_) expired.push_back(i);
    }
    std::size_t taken = run(jobs_.queue(node_).take_over_expired(limit)).value();
    RC_ASSERT(taken == std::min(limit, expired.size()));
    // Which ones, if it is not all, is not promised: what they are now tells.
    for (std::size_t i : expired) {
      ModelJob& job = all_[i];
      if (run(jobs_.admin().find(job.id)).value().job.status == JobStatus::kProcessing) continue;
      std::ranges::find(attempts_, job.token, &ModelAttempt::token)->state = "stale";
      fail_attempt(job, false, milliseconds(0));
    }
  }

  // --- people ---

  void cancel(unsigned number) {
    if (all_.empty()) return;
    ModelJob& job = all_[number % all_.size()];
    auto answer = run(jobs_.admin(node_).cancel(job.id));
    if (job.status == JobStatus::kCompleted || job.status == JobStatus::kDead) {
      RC_ASSERT(refusal(answer) == ErrorCode::kConflict);
      return;
    }
    if (job.status != JobStatus::kCancelled) {
      for (ModelAttempt& attempt : attempts_) {
        if (all_[attempt.job].id != job.id) continue;
        if (attempt.state == "running") attempt.state = "cancelled";
        if (attempt.state == "snoozed") attempt.state = "stale";
      }
      finish(job, "cancelled", JobStatus::kCancelled);
    }
    expect_same(answer.value(), job);
  }

  void retry(unsigned number) {
    // Rather a dead one.
    std::vector<std::size_t> dead;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (all_[i].status == JobStatus::kDead) dead.push_back(i);
    }
    if (all_.empty()) return;
    ModelJob& job = all_[dead.empty() ? number % all_.size() : dead[number % dead.size()]];
    auto answer = run(jobs_.admin(node_).retry(job.id));
    if (job.status != JobStatus::kDead) {
      RC_ASSERT(refusal(answer) == ErrorCode::kConflict);
      return;
    }
    job.status = JobStatus::kPending;
    job.attempts = 0;
    job.has_failed = false;
    job.due = now_;
    if (job.key) keys_.at(*job.key).ended_at.reset();
    expect_same(answer.value(), job);
  }

  void pause(const std::string& type, bool is_paused) {
    RC_ASSERT(run(jobs_.admin(node_).set_paused(type, is_paused)).has_value());
    paused_[type] = is_paused;
  }

  // --- what must be ---

  static void expect_same(const Job& job, const ModelJob& model) {
    RC_ASSERT(job.id == model.id);
    RC_ASSERT(job.status == model.status);
    RC_ASSERT(job.type == model.type);
    RC_ASSERT(without_spaces(job.payload) == model.payload);
    RC_ASSERT(job.priority == model.priority);
    RC_ASSERT(job.attempts == model.attempts);
    RC_ASSERT(job.max_attempts == model.max_attempts);
    RC_ASSERT(job.attempts <= job.max_attempts);
    RC_ASSERT(job.idempotency_key == model.key);
    RC_ASSERT(job.lease_expires_at.has_value() == (model.status == JobStatus::kProcessing));
  }

  void compare() {
    compare_jobs();
    compare_history();
    QueueStats stats = run(jobs_.admin().stats()).value();
    auto count = [this](JobStatus status) { return static_cast<std::uint64_t>(std::ranges::count(all_, status, &ModelJob::status)); };
    RC_ASSERT(stats.pending == count(JobStatus::kPending));
    RC_ASSERT(stats.processing == count(JobStatus::kProcessing));
    RC_ASSERT(stats.dead == count(JobStatus::kDead));
    auto has_failed = [](const ModelJob& job) { return job.status == JobStatus::kPending && job.has_failed; };
    RC_ASSERT(stats.failed == static_cast<std::uint64_t>(std::ranges::count_if(all_, has_failed)));
    auto is_stuck = [this](const ModelJob& job) { return job.status == JobStatus::kProcessing && job.lease_until + minutes(30) < now_; };
    RC_ASSERT(stats.stuck == static_cast<std::uint64_t>(std::ranges::count_if(all_, is_stuck)));
    RC_ASSERT(stats.stale_refused == stale_refused_);
  }

  // Every job is there once, and none besides.
  void compare_jobs() {
    std::size_t index = all_.size();
    JobSearch search{.limit = kJobsPerPageMax};
    do {
      auto page = run(jobs_.admin().search(search)).value();
      for (const Job& job : page.jobs) {
        RC_ASSERT(index > 0);
        expect_same(job, all_[--index]);
      }
      search.before = page.next;
    } while (search.before);
    RC_ASSERT(index == 0);
  }

  void compare_history() {
    std::map<JobId, std::vector<std::string>> kept;
    std::vector<std::string> tokens;
    for (const HistoryRow& row : jobs_.history()) {
      kept[row.job].push_back(row.status);
      if (row.lease_token) tokens.push_back(*row.lease_token);
    }
    for (const ModelJob& job : all_) {
      auto expected = job.history;
      auto& found = kept[job.id];
      std::ranges::sort(expected);
      std::ranges::sort(found);
      RC_ASSERT(found == expected);
      RC_ASSERT(std::ranges::count(found, "completed") == (job.status == JobStatus::kCompleted ? 1 : 0));
    }
    std::ranges::sort(tokens);
    RC_ASSERT(std::ranges::adjacent_find(tokens) == tokens.end());  // an attempt ends once
  }

  JobsUnderTest& jobs_;
  std::size_t node_ = 0;
  milliseconds now_{0};
  unsigned payloads_ = 0;
  std::vector<ModelJob> all_;  // by id
  std::vector<ModelAttempt> attempts_;
  std::map<std::string, ModelKey> keys_;
  std::map<std::string, bool, std::less<>> paused_{{"a", false}, {"b", false}, {"c", false}};
  std::uint64_t stale_refused_ = 0;
};

struct Rounds {
  JobsMaker maker;
  int count;
};
void PrintTo(const Rounds& rounds, std::ostream* out) {
  *out << rounds.maker.name;
}

class JobQueueModel : public testing::TestWithParam<Rounds> {};

TEST_P(JobQueueModel, WhateverWorkersDoEachJobIsInOnePlaceAndEndsOnce) {
  rc::detail::TestMetadata metadata{.id = GetParam().maker.name, .description = GetParam().maker.name};
  auto params = rc::detail::configuration().testParams;
  params.maxSuccess = GetParam().count;
  auto result = rc::detail::checkTestable(
      [] {
        auto operations = *rc::gen::container<std::vector<Operation>>(any_operation());
        auto jobs = GetParam().maker.make();
        Model model(*jobs);
        for (const Operation& operation : operations) model.apply(operation);
      },
      metadata, params);
  if (result.is<rc::detail::SuccessResult>()) return;
  rc::detail::printResultMessage(result, std::cerr);
  FAIL() << "to repeat it: RC_PARAMS=\"seed=" << params.seed << "\"";
}

// On a disk that does not make anyone wait for it.
std::unique_ptr<JobsUnderTest> make_sqlite() {
  static sqlite::FaultVfs disk;
  return std::make_unique<SqliteJobsUnderTest>(disk.name());
}
std::unique_ptr<JobsUnderTest> make_postgres() {
  return std::make_unique<PostgresJobsUnderTest>();
}

INSTANTIATE_TEST_SUITE_P(Databases, JobQueueModel,
                         testing::Values(Rounds{{"sqlite", make_sqlite}, 300}, Rounds{{"postgres", make_postgres}, 10}),
                         [](const auto& info) { return info.param.maker.name; });

}  // namespace
}  // namespace hearth::jobs
