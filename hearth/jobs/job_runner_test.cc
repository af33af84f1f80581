#include "hearth/jobs/job_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "hearth/base/guarded.h"
#include "hearth/base/run_to_end.h"
#include "hearth/jobs/stores/postgres_jobs_under_test.h"
#include "hearth/jobs/stores/sqlite_jobs_under_test.h"

namespace hearth::jobs {
namespace {

constexpr milliseconds kNever = hours(1);

bool eventually(const std::function<bool()>& holds) {
  auto end = std::chrono::steady_clock::now() + seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

// Any payload.
struct Anything {
  static Result<Anything> parse(std::string_view /*payload*/) { return Anything{}; }
};

// The real queue, and failures before it is reached.
class FailingQueue final : public JobQueue {
 public:
  explicit FailingQueue(JobQueue& queue) : queue_(queue) {}

  Guarded<std::function<std::optional<Error>(const std::vector<Ending>&)>> ends_fail;
  std::atomic<bool> claims_fail = false;
  std::atomic<bool> renewals_fail = false;
  std::atomic<int> failures = 0;
  std::atomic<int> take_overs = 0;

  Task<Result<std::vector<EnqueuedJob>>> enqueue(std::vector<JobDraft> drafts) override { return queue_.enqueue(std::move(drafts)); }
  Result<void> enqueue_in(SqlTransaction transaction, const JobDraft& draft) override { return queue_.enqueue_in(transaction, draft); }
  Task<Result<Claim>> claim(ClaimRequest request) override {
    if (claims_fail) co_return away();
    co_return co_await queue_.claim(std::move(request));
  }
  Task<Result<std::vector<Result<Ended>>>> end(std::vector<Ending> endings) override {
    auto error = ends_fail.with([&](auto& fails) { return fails ? fails(endings) : std::nullopt; });
    if (error) {
      ++failures;
      co_return std::unexpected(*error);
    }
    co_return co_await queue_.end(std::move(endings));
  }
  Task<Result<std::vector<Result<Renewed>>>> renew(std::vector<LeaseRenewal> renewals) override {
    if (renewals_fail) co_return away();
    co_return co_await queue_.renew(std::move(renewals));
  }
  Task<Result<std::size_t>> take_over_expired(std::size_t limit) override {
    auto taken = co_await queue_.take_over_expired(limit);
    ++take_overs;
    co_return taken;
  }

 private:
  std::unexpected<Error> away() {
    ++failures;
    return fail(ErrorCode::kUnavailable, "the database is away");
  }

  JobQueue& queue_;
};

// Where handlers are held up.
class Gate {
 public:
  void enter() {
    std::unique_lock lock(mutex_);
    ++entered_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
  }
  // False: it was asked to stop.
  bool enter(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    ++entered_;
    changed_.notify_all();
    return changed_.wait(lock, std::move(stop), [&] { return is_open_; });
  }
  void wait_for_entered(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return entered_ >= count; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  int entered() {
    std::lock_guard lock(mutex_);
    return entered_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int entered_ = 0;
  bool is_open_ = false;
};

class JobRunnerTest : public testing::TestWithParam<JobsMaker> {
 protected:
  ~JobRunnerTest() override {
    if (runner) runner->stop();
  }

  void handle(std::string type, Handler handler, HandlerOptions options = {}) {
    handlers.add<Anything>(std::move(type), options,
                           [handler = std::move(handler)](const Anything& /*payload*/, const JobRun& run) { return handler(run); });
  }
  // What a test is not about comes as soon as it can, or never.
  static RunnerOptions quick() { return {.worker = "w", .heartbeat = milliseconds(10), .poll = milliseconds(10), .grace = seconds(10)}; }
  static RunnerOptions never_polls() { return {.worker = "w", .heartbeat = milliseconds(10), .poll = kNever, .grace = seconds(10)}; }
  JobRunner& make_runner(RunnerOptions options) {
    runner = std::make_unique<JobRunner>(queue, jobs->signal(), handlers, clock, std::move(options));
    return *runner;
  }
  JobRunner& start(RunnerOptions options) {
    make_runner(std::move(options)).start();
    EXPECT_TRUE(eventually([&] { return queue.take_overs > 0; })) << "from now on a test knows when the next one comes";
    return *runner;
  }

  JobId add(JobDraft draft) { return run(real().enqueue({std::move(draft)})).value().front().job.id; }
  JobId add(std::string type) { return add(JobDraft{.type = std::move(type)}); }
  std::vector<JobId> add_many(const JobDraft& draft, std::size_t count) {
    std::vector<JobId> ids;
    while (ids.size() < count) {
      auto made = run(real().enqueue(std::vector<JobDraft>(std::min(kJobsPerEnqueueMax, count - ids.size()), draft))).value();
      for (const EnqueuedJob& job : made) ids.push_back(job.job.id);
    }
    return ids;
  }
  std::vector<JobId> add_many(std::string type, std::size_t count) { return add_many(JobDraft{.type = std::move(type)}, count); }
  JobDetails find(JobId id) { return run(jobs->admin().find(id)).value(); }
  bool becomes(JobId id, JobStatus status) {
    return eventually([&] { return find(id).job.status == status; });
  }
  // Whether its lease was renewed since some seconds passed.
  bool is_renewed(JobId id) {
    return eventually([&] { return find(id).job.lease_expires_at > jobs->now() + seconds(20); });
  }
  // How its attempts ended.
  std::vector<std::string> attempts(JobId id) {
    std::vector<std::string> statuses;
    for (const Attempt& attempt : find(id).attempts) statuses.push_back(attempt.status);
    return statuses;
  }
  bool has_ended_all() {
    auto stats = run(jobs->admin().stats()).value();
    return stats.pending + stats.processing == 0;
  }
  // For the database first, so that no lease is renewed while it passes.
  void pass(milliseconds time) {
    jobs->pass(time);
    clock.advance(time);
  }
  // Another worker.
  std::vector<ClaimedJob> claim_elsewhere() { return run(real().claim({.worker = "other", .limit = 10})).value().jobs; }
  Result<Ended> end_elsewhere(const ClaimedJob& job, Outcome outcome) {
    return run(real().end({{.job = job.id, .lease_token = job.lease_token, .outcome = std::move(outcome)}})).value().front();
  }
  std::size_t take_over() { return run(real().take_over_expired(100)).value(); }
  Result<std::vector<ProcessedJob>> process(std::size_t limit, milliseconds budget) { return run(runner->process(limit, budget)); }
  JobQueue& real() { return jobs->queue(); }

  std::unique_ptr<JobsUnderTest> jobs = GetParam().make();
  FailingQueue queue{jobs->queue()};
  SimulatedClock clock;  // of the runner
  JobHandlers handlers;
  Gate gate;  // outlives the handlers
  std::unique_ptr<JobRunner> runner;
};

// --- attempts ---

TEST_P(JobRunnerTest, AJobRunsAndItsResultIsKept) {
  handle("t", [](const JobRun& run) -> Outcome {
    return Completed{.result = R"({"attempt":)" + std::to_string(run.job.attempts) + R"(,"payload":)" + run.job.payload + "}"};
  });
  start(never_polls());
  JobId id = add({.type = "t", .payload = R"({"a":1})"});
  ASSERT_TRUE(becomes(id, JobStatus::kCompleted));
  EXPECT_EQ(without_spaces(find(id).job.result.value()), R"({"attempt":1,"payload":{"a":1}})");
  EXPECT_EQ(find(id).attempts.at(0).worker, "w");
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == 1; }));
  EXPECT_EQ(runner->stats().claimed, 1u);
  EXPECT_EQ(runner->stats().running, 0u);
}

TEST_P(JobRunnerTest, WhatAHandlerDoesWrongFailsTheAttempt) {
  handle("throws", [](const JobRun&) -> Outcome { throw std::runtime_error("out of luck"); });
  handle("throws_a_number", [](const JobRun&) -> Outcome { throw 7; });
  handle("fails", [](const JobRun&) -> Outcome { return Failed{.error = "no"}; });
  handle("gives_up", [](const JobRun&) -> Outcome { return Failed{.error = "never", .is_final = true}; });
  handle("no_json", [](const JobRun&) -> Outcome { return Completed{.result = R"({"a":)"}; });
  handle("too_long", [](const JobRun&) -> Outcome { return Completed{.result = "\"" + std::string(kPayloadBytesMax, 'x') + "\""}; });
  std::map<std::string, JobId> ids;
  for (const auto& [type, entry] : handlers.all()) ids[type] = add(type);
  start(never_polls());
  ASSERT_TRUE(eventually([&] { return runner->stats().failed == ids.size(); }));
  EXPECT_EQ(find(ids["throws"]).job.error_message, "out of luck");
  EXPECT_NE(find(ids["throws_a_number"]).job.error_message.value().find("threw"), std::string::npos);
  EXPECT_EQ(find(ids["fails"]).job.error_message, "no");
  EXPECT_EQ(find(ids["fails"]).job.status, JobStatus::kPending);
  EXPECT_EQ(find(ids["gives_up"]).job.status, JobStatus::kDead);
  EXPECT_NE(find(ids["no_json"]).job.error_message.value().find("not JSON"), std::string::npos);
  EXPECT_NE(find(ids["too_long"]).job.error_message.value().find("longer"), std::string::npos);
}

TEST_P(JobRunnerTest, AFailedAttemptIsMadeAgainWhenItIsDue) {
  handle("t", [](const JobRun& run) -> Outcome {
    if (run.job.attempts < 3) return Failed{.error = "not yet"};
    return Completed{};
  });
  start(quick());
  JobId id = add("t");
  ASSERT_TRUE(eventually([&] { return runner->stats().failed == 1; }));
  pass(seconds(3));
  ASSERT_TRUE(eventually([&] { return runner->stats().failed == 2; }));
  pass(seconds(5));
  ASSERT_TRUE(becomes(id, JobStatus::kCompleted));
  EXPECT_EQ(attempts(id), (std::vector<std::string>{"failed", "failed", "completed"}));
}

TEST_P(JobRunnerTest, ASnoozedJobWaitsWithoutAnAttempt) {
  std::atomic<int> runs = 0;
  handle("t", [&](const JobRun&) -> Outcome {
    if (++runs == 1) return Snoozed{.wait = minutes(5)};
    return Completed{};
  });
  start(quick());
  JobId id = add("t");
  ASSERT_TRUE(eventually([&] { return runner->stats().snoozed == 1; }));
  EXPECT_EQ(find(id).job.attempts, 0);
  pass(minutes(6));
  ASSERT_TRUE(becomes(id, JobStatus::kCompleted));
  EXPECT_EQ(find(id).attempts.at(0).number, 1);
}

TEST_P(JobRunnerTest, AnEffectCommitsWithTheEndOrTheAttemptFails) {
  handle("t", [&](const JobRun& run) -> Outcome {
    return Completed{.effect = [&, attempt = run.job.attempts](SqlTransaction transaction) -> Result<void> {
      if (attempt == 1) return fail(ErrorCode::kInternal, "the effect failed");
      return real().enqueue_in(transaction, {.type = "made"});
    }};
  });
  start(quick());
  JobId id = add("t");
  ASSERT_TRUE(eventually([&] { return runner->stats().failed == 1; }));
  EXPECT_EQ(find(id).job.error_message, "the effect failed");
  EXPECT_TRUE(claim_elsewhere().empty());
  pass(seconds(3));
  ASSERT_TRUE(becomes(id, JobStatus::kCompleted));
  EXPECT_EQ(claim_elsewhere().at(0).type, "made");
}

TEST_P(JobRunnerTest, JobsWithAUrlGoToTheWebhookWhateverTheirType) {
  std::atomic<int> posted = 0, handled = 0;
  handle("t", [&](const JobRun&) -> Outcome {
    ++handled;
    return Completed{};
  });
  handlers.set_webhook({}, [&](const JobRun& run) -> Outcome {
    EXPECT_EQ(run.job.url, "https://example.org/");
    ++posted;
    return Completed{};
  });
  start(never_polls());
  for (const char* type : {"t", "unknown"}) add({.type = type, .url = "https://example.org/"});
  add("t");
  JobId unknown = add("unknown");
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == 3; }));
  EXPECT_EQ(posted, 2);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(find(unknown).job.status, JobStatus::kPending) << "it waits for an outside worker";
}

// --- when jobs start ---

TEST_P(JobRunnerTest, AJobThatNobodyToldOfIsFoundByLooking) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{}; });
  JobSignal deaf;
  runner = std::make_unique<JobRunner>(queue, deaf, handlers, clock, quick());
  runner->start();
  EXPECT_TRUE(becomes(add("t"), JobStatus::kCompleted));
  deaf.close();
  EXPECT_TRUE(becomes(add("t"), JobStatus::kCompleted));
  runner->stop();
}

TEST_P(JobRunnerTest, AJobStartsWhenItIsDueWithoutBeingToldOf) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{}; });
  start(never_polls());
  JobId id = add({.type = "t", .scheduled_for = jobs->now() + milliseconds(50)});
  auto looked = jobs->signal().count();
  pass(milliseconds(50));
  EXPECT_TRUE(becomes(id, JobStatus::kCompleted));
  EXPECT_EQ(jobs->signal().count(), looked);
}

TEST_P(JobRunnerTest, OneTypeNeverKeepsAnotherFromRunning) {
  Gate other;
  handle("slow", [&](const JobRun&) -> Outcome { return gate.enter(), Completed{}; }, {.concurrency = 2});
  handle("quick", [&](const JobRun&) -> Outcome { return other.enter(), Completed{}; }, {.concurrency = 3});
  for (int i = 0; i < 20; ++i) add("slow");
  start(never_polls());
  gate.wait_for_entered(2);
  add_many("quick", 5);
  other.wait_for_entered(3);
  EXPECT_EQ(runner->stats().running, 5u);
  EXPECT_EQ(runner->stats().claimed, 5u) << "none waits here that another node could run";
  EXPECT_EQ(gate.entered(), 2);
  other.open();
  gate.open();
  EXPECT_TRUE(eventually([&] { return has_ended_all(); }));
}

TEST_P(JobRunnerTest, ABatchWaitsHereForAThread) {
  handle("t", [&](const JobRun&) -> Outcome { return gate.enter(), Completed{}; }, {.concurrency = 2, .batch = 8});
  add_many("t", 50);
  start(never_polls());
  gate.wait_for_entered(2);
  EXPECT_EQ(runner->stats().claimed, 9u);
  gate.open();
  EXPECT_TRUE(eventually([&] { return runner->stats().completed == 50; }));
}

TEST_P(JobRunnerTest, TheHighestPriorityStartsFirst) {
  Guarded<std::vector<int>> started;
  handle("t",
         [&](const JobRun& run) -> Outcome {
           started.with([&](auto& all) { all.push_back(without_spaces(run.job.payload).at(5) - '0'); });
           return Completed{};
         },
         {.concurrency = 1});
  for (int priority : {1, 9, 5, 3, 7}) add({.type = "t", .payload = R"({"p":)" + std::to_string(priority) + "}", .priority = priority});
  start(never_polls());
  ASSERT_TRUE(eventually([&] { return has_ended_all(); }));
  EXPECT_EQ(started.with([](auto& all) { return all; }), (std::vector<int>{9, 7, 5, 3, 1}));
}

TEST_P(JobRunnerTest, ManyShortJobsAreEachDoneOnce) {
  constexpr std::size_t kJobs = 20'000;
  Guarded<std::map<JobId, int>> runs;
  handle("t",
         [&](const JobRun& run) -> Outcome {
           runs.with([&](auto& all) { ++all[run.job.id]; });
           return Completed{};
         },
         {.concurrency = 4, .batch = 500});
  add_many("t", kJobs);
  start(never_polls());
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == kJobs; }));
  EXPECT_TRUE(has_ended_all());
  runs.with([&](const auto& all) {
    EXPECT_EQ(all.size(), kJobs);
    for (const auto& [id, count] : all) ASSERT_EQ(count, 1);
  });
}

TEST_P(JobRunnerTest, SeveralRunnersShareTheWork) {
  constexpr std::size_t kJobs = 2'000;
  Guarded<std::map<JobId, int>> completed;
  handle("t",
         [&](const JobRun& run) -> Outcome {
           if (std::hash<std::string>()(run.job.lease_token) % 5 == 0) return Failed{.error = "by chance", .retry_after = milliseconds(0)};
           completed.with([&](auto& all) { ++all[run.job.id]; });
           return Completed{};
         },
         {.concurrency = 3, .batch = 10});
  JobRunner second(jobs->queue(1), jobs->signal(1), handlers, clock, quick());
  start(quick());
  second.start();
  auto ids = add_many("t", kJobs / 2);
  std::ranges::copy(add_many({.type = "t", .max_attempts = kAttemptsMax}, kJobs / 2), std::back_inserter(ids));
  ASSERT_TRUE(eventually([&] { return has_ended_all(); }));
  second.stop();
  runner->stop();
  EXPECT_GT(second.stats().completed, 0u);
  EXPECT_GT(runner->stats().completed, 0u);
  for (JobId id : ids) {
    auto statuses = attempts(id);
    bool is_dead = statuses.back() == "dead";
    EXPECT_EQ(completed.with([&](auto& all) { return all[id]; }), is_dead ? 0 : 1);
    EXPECT_EQ(std::ranges::count(statuses, "completed"), is_dead ? 0 : 1);
  }
}

// --- leases ---

TEST_P(JobRunnerTest, TheLeaseOfWhatRunsIsKeptAndItsProgressShown) {
  handle("t",
         [&](const JobRun& run) -> Outcome {
           run.report_progress(R"({"percent":1})");
           run.report_progress(R"({"percent":40})");
           run.report_progress("no JSON");
           return gate.enter(), Completed{};
         },
         {.timeout = kNever});
  start(quick());
  JobId id = add("t");
  for (int i = 0; i < 5; ++i) {
    pass(seconds(20));
    ASSERT_TRUE(is_renewed(id));
  }
  EXPECT_EQ(without_spaces(find(id).job.progress.value_or("")), R"({"percent":40})");
  gate.open();
  ASSERT_TRUE(becomes(id, JobStatus::kCompleted));
  EXPECT_EQ(attempts(id).size(), 1u);
  EXPECT_EQ(runner->stats().taken_over, 0u);
}

TEST_P(JobRunnerTest, AHandlerHearsThatItsJobWasCancelled) {
  handle("t",
         [&](const JobRun& run) -> Outcome {
           EXPECT_FALSE(gate.enter(run.stop));
           return Completed{};
         },
         {.concurrency = 1});
  start(quick());
  JobId id = add("t");
  gate.wait_for_entered(1);
  ASSERT_TRUE(run(jobs->admin().cancel(id)));
  pass(seconds(1));  // what was claimed a moment ago has no heartbeat yet
  ASSERT_TRUE(eventually([&] { return runner->stats().running == 0; }));
  EXPECT_EQ(find(id).job.status, JobStatus::kCancelled);
  gate.open();
  EXPECT_TRUE(becomes(add("unrelated"), JobStatus::kPending));
  EXPECT_EQ(runner->stats().stale + runner->stats().completed, 0u);
}

TEST_P(JobRunnerTest, AJobThatIsCancelledWhileItWaitsHereDoesNotStart) {
  Guarded<std::set<JobId>> started;
  handle("t",
         [&](const JobRun& run) -> Outcome {
           started.with([&](auto& all) { all.insert(run.job.id); });
           return gate.enter(), Completed{};
         },
         {.concurrency = 1, .batch = 3});
  auto ids = add_many("t", 3);
  start(quick());
  gate.wait_for_entered(1);
  ASSERT_TRUE(run(jobs->admin().cancel(ids[1])));
  pass(seconds(16));  // its next heartbeat tells
  ASSERT_TRUE(is_renewed(ids[2]));
  gate.open();
  ASSERT_TRUE(becomes(ids[2], JobStatus::kCompleted));
  EXPECT_FALSE(started.with([&](auto& all) { return all.contains(ids[1]); }));
  EXPECT_EQ(find(ids[1]).job.status, JobStatus::kCancelled);
}

TEST_P(JobRunnerTest, AnAttemptWhoseLeaseWasLostIsStoppedAndItsOutcomeDropped) {
  handle("t", [&](const JobRun& run) -> Outcome {
    if (run.job.attempts > 1) return Completed{.result = R"("ours again")"};
    EXPECT_FALSE(gate.enter(run.stop));
    return Completed{.result = R"("too late")"};
  });
  queue.renewals_fail = true;
  start(never_polls());
  JobId id = add("t");
  gate.wait_for_entered(1);
  queue.claims_fail = true;
  pass(seconds(31));
  ASSERT_EQ(take_over(), 1u);
  auto elsewhere = claim_elsewhere();
  ASSERT_EQ(elsewhere.size(), 1u);
  queue.renewals_fail = false;
  ASSERT_TRUE(eventually([&] { return runner->stats().stale == 1; }));
  ASSERT_TRUE(eventually([&] { return runner->stats().running == 0; }));
  EXPECT_TRUE(end_elsewhere(elsewhere[0], Completed{.result = R"("elsewhere")"}));
  runner->stop();
  EXPECT_EQ(find(id).job.result, R"("elsewhere")");
  EXPECT_EQ(attempts(id), (std::vector<std::string>{"failed", "completed"}));
  EXPECT_EQ(runner->stats().completed, 0u);
}

TEST_P(JobRunnerTest, AnOutcomeThatComesAfterAnotherAttemptBeganIsRefused) {
  handle("t", [&](const JobRun&) -> Outcome { return gate.enter(), Completed{}; });
  queue.renewals_fail = true;
  start(never_polls());
  JobId id = add("t");
  gate.wait_for_entered(1);
  queue.claims_fail = true;
  pass(seconds(31));
  ASSERT_EQ(take_over(), 1u);
  auto elsewhere = claim_elsewhere();
  gate.open();
  ASSERT_TRUE(eventually([&] { return runner->stats().stale == 1; }));
  EXPECT_EQ(find(id).job.status, JobStatus::kProcessing);
  EXPECT_TRUE(end_elsewhere(elsewhere.at(0), Completed{}));
}

TEST_P(JobRunnerTest, AfterStandingStillNothingStartsWhoseLeaseIsOver) {
  Guarded<std::map<JobId, std::vector<std::string>>> tokens;
  handle("t",
         [&](const JobRun& run) -> Outcome {
           tokens.with([&](auto& all) { all[run.job.id].push_back(run.job.lease_token); });
           return gate.enter(), Completed{};
         },
         {.concurrency = 1, .batch = 3});
  auto ids = add_many("t", 3);
  queue.renewals_fail = true;
  start(never_polls());
  gate.wait_for_entered(1);
  pass(seconds(31));
  gate.open();
  // They are given back, and claimed anew.
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == 3; }));
  EXPECT_EQ(runner->stats().claimed, 5u);
  for (JobId id : ids) {
    EXPECT_EQ(attempts(id), std::vector<std::string>{"completed"});
    EXPECT_EQ(tokens.with([&](auto& all) { return all[id].size(); }), 1u);
    EXPECT_EQ(find(id).attempts.at(0).number, 1) << "what was given back was no attempt";
  }
}

TEST_P(JobRunnerTest, JobsOfDeadWorkersAreTakenOver) {
  handle("t", [](const JobRun& run) -> Outcome {
    EXPECT_EQ(run.job.attempts, 2);
    return Completed{};
  });
  auto ids = add_many("t", 10);
  ASSERT_EQ(claim_elsewhere().size(), 10u);
  start(quick());
  pass(seconds(31));
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == 10; }));
  EXPECT_EQ(runner->stats().taken_over, 10u);
}

TEST_P(JobRunnerTest, AnAttemptThatTakesTooLongFailsThoughItStillRuns) {
  std::atomic<bool> is_asked = false;
  handle("t",
         [&](const JobRun& run) -> Outcome {
           if (run.job.attempts > 1) return Completed{.result = R"("second")"};
           std::stop_callback asked(run.stop, [&] { is_asked = true; });
           return gate.enter(), Completed{.result = R"("late")"};
         },
         {.concurrency = 1, .timeout = milliseconds(1'500)});
  start(quick());
  JobId id = add("t");
  gate.wait_for_entered(1);
  pass(seconds(2));
  ASSERT_TRUE(eventually([&] { return runner->stats().failed == 1; }));
  EXPECT_EQ(find(id).job.error_message, "timed out after 1.500 s");
  EXPECT_EQ(runner->stats().timed_out, 1u);
  EXPECT_TRUE(is_asked);
  pass(seconds(3));
  EXPECT_EQ(runner->stats().running, 1u) << "its thread is busy";
  EXPECT_EQ(runner->stats().claimed, 1u);
  gate.open();
  ASSERT_TRUE(becomes(id, JobStatus::kCompleted));
  EXPECT_EQ(find(id).job.result, R"("second")");
  EXPECT_EQ(attempts(id), (std::vector<std::string>{"failed", "completed"}));
}

// --- a database that is away ---

TEST_P(JobRunnerTest, ClaimsAreTriedAgain) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{}; });
  queue.claims_fail = true;
  start(never_polls());
  JobId id = add("t");
  ASSERT_TRUE(eventually([&] { return queue.failures > 1; }));
  queue.claims_fail = false;
  EXPECT_TRUE(becomes(id, JobStatus::kCompleted));
}

TEST_P(JobRunnerTest, OutcomesAreKeptUntilTheyCanBeEnded) {
  std::atomic<int> runs = 0;
  handle("t", [&](const JobRun&) -> Outcome {
    ++runs;
    return Completed{};
  });
  queue.ends_fail.with([](auto& fails) { fails = [](const auto&) { return Error{ErrorCode::kUnavailable, "away"}; }; });
  start(never_polls());
  add_many("t", 20);
  ASSERT_TRUE(eventually([&] { return runs == 20 && queue.failures > 2; }));
  EXPECT_EQ(runner->stats().completed, 0u);
  queue.ends_fail.with([](auto& fails) { fails = nullptr; });
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == 20; }));
  EXPECT_EQ(runs, 20);
}

// The answer was lost, not the end.
TEST_P(JobRunnerTest, EndingTwiceEndsOnce) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{.result = "1"}; });
  queue.ends_fail.with([&](auto& fails) {
    fails = [&](const std::vector<Ending>& endings) -> std::optional<Error> {
      if (queue.failures > 0) return std::nullopt;
      EXPECT_TRUE(run(real().end(endings)).value().at(0));
      return Error{ErrorCode::kUnavailable, "the connection was lost"};
    };
  });
  start(never_polls());
  JobId id = add("t");
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == 1; }));
  EXPECT_EQ(queue.failures, 1);
  EXPECT_EQ(attempts(id), std::vector<std::string>{"completed"});
}

TEST_P(JobRunnerTest, OneOutcomeThatCannotBeKeptHoldsUpNoOther) {
  handle("t", [](const JobRun& run) -> Outcome { return Completed{.result = run.job.payload}; }, {.concurrency = 2, .batch = 20});
  queue.ends_fail.with([](auto& fails) {
    fails = [](const std::vector<Ending>& endings) -> std::optional<Error> {
      bool has_poison = std::ranges::any_of(endings, [](const Ending& ending) {
        const auto* completed = std::get_if<Completed>(&ending.outcome);
        return completed != nullptr && completed->result && without_spaces(*completed->result) == R"({"poison":1})";
      });
      if (!has_poison) return std::nullopt;
      return Error{ErrorCode::kInternal, "the database does not take this"};
    };
  });
  auto ids = add_many("t", 10);
  JobId poison = add({.type = "t", .payload = R"({"poison":1})"});
  add_many("t", 10);
  start(never_polls());
  ASSERT_TRUE(eventually([&] { return runner->stats().completed == 20 && runner->stats().failed == 1; }));
  EXPECT_EQ(find(poison).job.status, JobStatus::kPending);
  EXPECT_EQ(find(poison).job.error_message, "the database does not take this");
}

// --- stop ---

TEST_P(JobRunnerTest, StoppingLetsRunningHandlersEndAndGivesBackWhatWaits) {
  handle("t",
         [&](const JobRun& run) -> Outcome {
           gate.enter();
           EXPECT_FALSE(run.stop.stop_requested());
           return Completed{};
         },
         {.concurrency = 2, .batch = 10});
  auto ids = add_many("t", 8);
  start(never_polls());
  gate.wait_for_entered(2);
  auto stopped = std::async(std::launch::async, [&] { runner->stop(); });
  ASSERT_TRUE(becomes(ids[7], JobStatus::kPending));
  gate.open();
  stopped.get();
  EXPECT_EQ(runner->stats().completed, 2u);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Job job = find(ids[i]).job;
    EXPECT_EQ(job.status, i < 2 ? JobStatus::kCompleted : JobStatus::kPending);
    if (i < 2) continue;
    EXPECT_EQ(job.attempts, 0);
    EXPECT_LE(job.scheduled_for, jobs->now());
  }
  EXPECT_EQ(claim_elsewhere().size(), 6u);
}

TEST_P(JobRunnerTest, WhoDoesNotEndInTimeIsAskedToAndGivenBack) {
  handle("t", [&](const JobRun& run) -> Outcome {
    gate.enter(run.stop);
    return Completed{.result = R"("not used")"};
  });
  JobId id = add("t");
  auto options = never_polls();
  options.grace = milliseconds(1);
  start(options);
  gate.wait_for_entered(1);
  runner->stop();
  EXPECT_EQ(find(id).job.status, JobStatus::kPending);
  EXPECT_EQ(find(id).job.attempts, 0);
  EXPECT_EQ(runner->stats().completed, 0u);
}

TEST_P(JobRunnerTest, StoppingEndsWhileTheDatabaseIsAway) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{}; });
  queue.ends_fail.with([](auto& fails) { fails = [](const auto&) { return Error{ErrorCode::kUnavailable, "away"}; }; });
  auto options = never_polls();
  options.grace = milliseconds(20);
  start(options);
  JobId id = add("t");
  ASSERT_TRUE(eventually([&] { return queue.failures > 0; }));
  queue.claims_fail = true;
  runner->stop();
  EXPECT_EQ(find(id).job.status, JobStatus::kProcessing) << "until its lease is over";
}

TEST_P(JobRunnerTest, StoppingIsSafeTwiceAndBeforeStart) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{}; });
  make_runner(quick()).stop();
  runner->start();
  JobId id = add("t");
  runner->stop();
  EXPECT_EQ(find(id).job.status, JobStatus::kPending);
  EXPECT_EQ(refusal(process(1, seconds(1))), ErrorCode::kUnavailable);
  for (int i = 0; i < 20; ++i) {
    start(quick()).stop();
    runner->stop();
  }
}

// --- process() ---

TEST_P(JobRunnerTest, ProcessingRunsSoManyDueJobsWithoutStart) {
  handle("works", [](const JobRun&) -> Outcome { return Completed{}; }, {.concurrency = 1});
  handle("fails", [](const JobRun&) -> Outcome { return Failed{.error = "no"}; }, {.concurrency = 1});
  make_runner(never_polls());
  add_many("works", 9);
  add_many("fails", 3);
  add({.type = "works", .scheduled_for = jobs->now() + hours(1)});
  add("unknown");
  auto processed = process(10, kNever).value();
  ASSERT_EQ(processed.size(), 10u);
  for (const ProcessedJob& job : processed) {
    EXPECT_EQ(job.is_ok, job.type == "works");
    EXPECT_EQ(job.error, job.type == "works" ? "" : "no");
    EXPECT_NE(find(job.id).job.status, JobStatus::kProcessing);
  }
  EXPECT_EQ(process(10, kNever).value().size(), 2u);
  EXPECT_TRUE(process(10, kNever).value().empty());
  EXPECT_TRUE(process(0, kNever).value().empty());
}

TEST_P(JobRunnerTest, ProcessingEndsWithItsTimeAndWhatRunsGoesOn) {
  handle("slow", [&](const JobRun&) -> Outcome { return gate.enter(), Completed{}; }, {.timeout = kNever});
  handle("quick", [](const JobRun&) -> Outcome { return Completed{}; });
  make_runner(quick());
  JobId slow = add("slow");
  add("quick");
  auto processed = process(10, milliseconds(50)).value();
  ASSERT_EQ(processed.size(), 2u);
  for (const ProcessedJob& job : processed) EXPECT_EQ(job.is_ok, job.type == "quick") << job.error;
  for (int i = 0; i < 3; ++i) {
    pass(seconds(20));
    ASSERT_TRUE(is_renewed(slow));
  }
  gate.open();
  EXPECT_TRUE(becomes(slow, JobStatus::kCompleted));
}

TEST_P(JobRunnerTest, ManyMayProcessAtOnceBesideARunningOne) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{}; }, {.concurrency = 2});
  start(quick());
  std::atomic<bool> is_over = false;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      while (!is_over) {
        auto processed = process(10, seconds(8));
        ASSERT_TRUE(processed);
        for (const ProcessedJob& job : *processed) ASSERT_TRUE(job.is_ok) << job.error;
      }
    });
  }
  for (int i = 0; i < 20; ++i) add_many("t", 20);
  EXPECT_TRUE(eventually([&] { return runner->stats().completed == 400; }));
  is_over = true;
  callers.clear();
  EXPECT_TRUE(has_ended_all());
}

TEST_P(JobRunnerTest, StoppingEndsThoseWhoProcess) {
  handle("t", [&](const JobRun& run) -> Outcome { return gate.enter(run.stop), Completed{}; }, {.concurrency = 1});
  auto options = quick();
  options.grace = milliseconds(1);
  make_runner(options);
  add_many("t", 3);
  auto processed = std::async(std::launch::async, [&] { return process(10, kNever); });
  gate.wait_for_entered(1);
  runner->stop();
  auto results = processed.get().value();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_FALSE(results[0].is_ok);
  EXPECT_EQ(claim_elsewhere().size(), 3u);
}

TEST_P(JobRunnerTest, ProcessingSaysThatTheDatabaseIsAway) {
  handle("t", [](const JobRun&) -> Outcome { return Completed{}; });
  make_runner(quick());
  queue.claims_fail = true;
  EXPECT_EQ(refusal(process(10, seconds(8))), ErrorCode::kUnavailable);
}

const JobsMaker kSqlite{"sqlite", [] { return std::make_unique<SqliteJobsUnderTest>(); }};
const JobsMaker kPostgres{"postgres", [] { return std::make_unique<PostgresJobsUnderTest>(); }};

INSTANTIATE_TEST_SUITE_P(Databases, JobRunnerTest, testing::Values(kSqlite, kPostgres), name_of_maker);

}  // namespace
}  // namespace hearth::jobs
