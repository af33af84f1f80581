#pragma once

// What every JobQueue promises (job_queue.h), as tests: how attempts end, and whose they are meanwhile.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "hearth/jobs/jobs_under_test.h"

namespace hearth::jobs {

class JobEndingsConformance : public JobsConformance {
 protected:
  // How long the job waits after an attempt that has just failed.
  milliseconds wait_after_failure(JobId id) {
    Job job = find(id);
    return std::chrono::duration_cast<milliseconds>(job.scheduled_for - job.failed_at.value());
  }
  // Claims a job whose lease is over by then.
  ClaimedJob claim_and_lose() {
    auto claimed = claim({.lease = kLeaseMin}).jobs.at(0);
    jobs->pass(minutes(10));
    return claimed;
  }
};

// --- how an attempt ends ---

TEST_P(JobEndingsConformance, ACompletedJobIsKeptInHistory) {
  Job made = add({.type = "t", .payload = R"({"a":1})", .priority = 4, .idempotency_key = "k"});
  auto claimed = claim({.lease = hours(1)}, 1).jobs.at(0);
  auto ended = end(claimed, Completed{.result = R"({"b":2})"});
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->status, JobStatus::kCompleted);
  EXPECT_FALSE(ended->is_repeated);

  JobDetails details = run(admin().find(made.id)).value();
  const Job& job = details.job;
  EXPECT_EQ(job.status, JobStatus::kCompleted);
  EXPECT_EQ(without_spaces(job.payload), R"({"a":1})");
  EXPECT_EQ(without_spaces(job.result.value()), R"({"b":2})");
  EXPECT_EQ(std::tuple(job.type, job.priority, job.attempts, job.idempotency_key), std::tuple("t", 4, 1, std::optional<std::string>("k")));
  EXPECT_EQ(job.created_at, made.created_at);
  EXPECT_EQ(job.started_at, claimed.started_at);
  EXPECT_GE(job.completed_at.value(), claimed.started_at);
  EXPECT_FALSE(job.error_message || job.failed_at || job.lease_expires_at);
  ASSERT_EQ(details.attempts.size(), 1u);
  const Attempt& attempt = details.attempts[0];
  EXPECT_EQ(attempt.number, 1);
  EXPECT_EQ(attempt.status, "completed");
  EXPECT_EQ(attempt.worker, "w1");
  EXPECT_EQ(attempt.started_at, job.started_at);
  EXPECT_EQ(attempt.ended_at, job.completed_at);
  EXPECT_LE(*attempt.duration, attempt.ended_at - *attempt.started_at + milliseconds(1));
  EXPECT_EQ(jobs->count("SELECT count(*) FROM background_jobs"), 0);
  EXPECT_TRUE(claim_jobs(1).empty());
}

TEST_P(JobEndingsConformance, AFailedAttemptIsTriedAgainUntilTheLastOne) {
  Job made = add({.type = "t", .max_attempts = 2});
  auto first = end(claim_one(), Failed{.error = "one"});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->status, JobStatus::kPending);
  Job waiting = find(made.id);
  EXPECT_EQ(waiting.status, JobStatus::kPending);
  EXPECT_EQ(waiting.attempts, 1);
  EXPECT_EQ(waiting.error_message, "one");
  EXPECT_TRUE(waiting.failed_at);
  EXPECT_FALSE(waiting.lease_expires_at || waiting.completed_at);
  EXPECT_EQ(stats().failed, 1u);

  jobs->pass(hours(2));
  auto second = claim_one();
  EXPECT_EQ(second.attempts, 2);
  EXPECT_EQ(stats().failed, 0u) << "it runs";
  auto last = end(second, Failed{.error = "two"});
  ASSERT_TRUE(last);
  EXPECT_EQ(last->status, JobStatus::kDead);
  Job dead = find(made.id);
  EXPECT_EQ(dead.status, JobStatus::kDead);
  EXPECT_EQ(dead.error_message, "two");
  EXPECT_EQ(attempts(made.id), (std::vector<std::string>{"failed", "dead"}));
  jobs->pass(hours(100));
  EXPECT_TRUE(claim_jobs(1).empty());
  EXPECT_EQ(stats().dead, 1u);
}

TEST_P(JobEndingsConformance, AnErrorOfAnEarlierAttemptIsNotThatOfACompletedJob) {
  Job made = add("t");
  ASSERT_TRUE(end(claim_one(), Failed{.error = "one"}));
  jobs->pass(hours(2));
  ASSERT_TRUE(end(claim_one(), Completed{}));
  auto details = run(admin().find(made.id)).value();
  EXPECT_EQ(details.job.attempts, 2);
  EXPECT_FALSE(details.job.result);
  ASSERT_EQ(details.attempts.size(), 2u);
  EXPECT_EQ(std::pair(details.attempts[0].number, details.attempts[0].error_message), std::pair(1, std::optional<std::string>("one")));
  EXPECT_EQ(std::pair(details.attempts[1].number, details.attempts[1].error_message), std::pair(2, std::optional<std::string>()));
}

TEST_P(JobEndingsConformance, TheWaitGrowsWithTheAttempts) {
  Job made = add({.type = "t", .max_attempts = 20});
  for (int attempt = 1; attempt <= 14; ++attempt) {
    ASSERT_TRUE(end(claim_one(), Failed{.error = "no"}));
    milliseconds least = retry_delay(attempt, kRetryBase, kRetryMax, 0);
    EXPECT_GE(wait_after_failure(made.id), least) << "attempt " << attempt;
    EXPECT_LE(wait_after_failure(made.id), least * 6 / 5 + milliseconds(1)) << "attempt " << attempt;
    jobs->pass(hours(2));
  }
}

TEST_P(JobEndingsConformance, JobsThatFailTogetherDoNotComeBackTogether) {
  ASSERT_TRUE(run(admin().configure({.type = "t", .retry_base = seconds(1'000)})));
  add_all(std::vector<JobDraft>(50, {.type = "t"}));
  std::vector<Ending> endings;
  for (const ClaimedJob& job : claim_jobs(50)) endings.push_back({job.id, job.lease_token, Failed{.error = "no"}});
  end_all(endings);
  std::vector<UtcMicros> due;
  for (const Ending& ending : endings) due.push_back(find(ending.job).scheduled_for);
  auto [first, last] = std::ranges::minmax(due);
  EXPECT_GT(last - first, seconds(50)) << "spread over 200 s";
}

TEST_P(JobEndingsConformance, ATypeMayHaveItsOwnWaits) {
  ASSERT_TRUE(run(admin().configure({.type = "own", .retry_base = seconds(10), .retry_max = seconds(500)})));
  Job own = add({.type = "own", .max_attempts = 9});
  for (auto [attempt, least] : {std::pair(1, 10), std::pair(2, 100), std::pair(3, 500), std::pair(4, 500)}) {
    ASSERT_TRUE(end(claim_one(), Failed{.error = "no"}));
    EXPECT_GE(wait_after_failure(own.id), seconds(least)) << "attempt " << attempt;
    EXPECT_LE(wait_after_failure(own.id), seconds(least) * 6 / 5 + milliseconds(1)) << "attempt " << attempt;
    jobs->pass(hours(1));
  }
}

TEST_P(JobEndingsConformance, AWorkerMaySayWhenToTryAgain) {
  Job made = add("t");
  ASSERT_TRUE(end(claim_one(), Failed{.error = "busy", .retry_after = hours(5)}));
  EXPECT_EQ(wait_after_failure(made.id), hours(5));
  auto none = claim({});
  EXPECT_TRUE(none.jobs.empty());
  EXPECT_GT(none.next_due_in.value(), minutes(290));
  jobs->pass(hours(5));
  EXPECT_EQ(claim_one().attempts, 2);
}

TEST_P(JobEndingsConformance, WhatCannotHelpIsNotTriedAgain) {
  Job made = add({.type = "t", .max_attempts = 9});
  auto ended = end(claim_one(), Failed{.error = "never", .retry_after = hours(1), .is_final = true});
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->status, JobStatus::kDead);
  EXPECT_EQ(attempts(made.id), std::vector<std::string>{"dead"});
  EXPECT_EQ(find(made.id).attempts, 1);
}

TEST_P(JobEndingsConformance, ALongErrorIsCutBetweenCharacters) {
  Job made = add("t");
  std::string error = "x";
  while (error.size() < 2 * kErrorBytesMax) error += "ü";
  ASSERT_TRUE(end(claim_one(), Failed{.error = error}));
  std::string kept = find(made.id).error_message.value();
  EXPECT_LE(kept.size(), kErrorBytesMax);
  EXPECT_GE(kept.size(), kErrorBytesMax - 4);
  EXPECT_EQ(kept, error.substr(0, kept.size()));
  EXPECT_EQ(kept.size() % 2, 1u) << "no half character";
}

TEST_P(JobEndingsConformance, ASnoozedAttemptDoesNotCount) {
  Job made = add({.type = "t", .max_attempts = 1});
  for (int i = 0; i < 3; ++i) {
    auto claimed = claim_one();
    EXPECT_EQ(claimed.attempts, 1);
    auto ended = end(claimed, Snoozed{.wait = hours(3)});
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->status, JobStatus::kPending);
    Job waiting = find(made.id);
    EXPECT_EQ(waiting.attempts, 0);
    EXPECT_FALSE(waiting.failed_at || waiting.lease_expires_at || waiting.worker);
    auto none = claim({});
    EXPECT_TRUE(none.jobs.empty());
    EXPECT_GT(none.next_due_in.value(), minutes(170));
    jobs->pass(hours(3));
  }
  EXPECT_EQ(stats().failed, 0u);
  EXPECT_TRUE(attempts(made.id).empty());
  EXPECT_TRUE(end(claim_one(), Completed{}));
}

TEST_P(JobEndingsConformance, ABatchEndsEachInItsOwnWayAndInOrder) {
  auto made = add_all({{.type = "a"}, {.type = "b"}, {.type = "c"}, {.type = "d", .max_attempts = 1}, {.type = "e"}});
  auto claimed = claim_jobs(5);
  ASSERT_EQ(claimed.size(), 5u);
  auto ended = end_all({{claimed[3].id, claimed[3].lease_token, Failed{.error = "no"}},
                        {claimed[0].id, claimed[0].lease_token, Completed{}},
                        {claimed[1].id, "not its token", Completed{}},
                        {JobId(987'654'321), claimed[1].lease_token, Completed{}},
                        {claimed[2].id, claimed[2].lease_token, Snoozed{.wait = hours(1)}},
                        {claimed[4].id, claimed[4].lease_token, Failed{.error = "no"}},
                        {claimed[0].id, claimed[0].lease_token, Completed{}},
                        {claimed[4].id, claimed[4].lease_token, Completed{}}});
  ASSERT_EQ(ended.size(), 8u);
  EXPECT_EQ(ended[0].value().status, JobStatus::kDead);
  EXPECT_EQ(ended[1].value().status, JobStatus::kCompleted);
  EXPECT_EQ(refusal(ended[2]), ErrorCode::kStaleLease);
  EXPECT_EQ(refusal(ended[3]), ErrorCode::kNotFound);
  EXPECT_EQ(ended[4].value().status, JobStatus::kPending);
  EXPECT_EQ(ended[5].value().status, JobStatus::kPending);
  EXPECT_TRUE(ended[6].value().is_repeated);
  EXPECT_EQ(refusal(ended[7]), ErrorCode::kConflict);
  EXPECT_EQ(find(claimed[1].id).status, JobStatus::kProcessing);
  EXPECT_EQ(stats().stale_refused, 1u);
  EXPECT_TRUE(end_all({}).empty());
}

TEST_P(JobEndingsConformance, AThousandEndTogether) {
  add_all(std::vector<JobDraft>(kJobsPerClaimMax, {.type = "t"}));
  std::vector<Ending> endings;
  for (const ClaimedJob& job : claim_jobs(kJobsPerClaimMax)) endings.push_back({job.id, job.lease_token, Completed{.result = "{}"}});
  ASSERT_EQ(endings.size(), kJobsPerClaimMax);
  for (const auto& ended : end_all(endings)) EXPECT_TRUE(ended);
  EXPECT_EQ(jobs->count("SELECT count(*) FROM job_history WHERE status = 'completed'"), static_cast<std::int64_t>(kJobsPerClaimMax));
  EXPECT_EQ(jobs->count("SELECT count(*) FROM background_jobs"), 0);
}

// --- effects ---

TEST_P(JobEndingsConformance, TheEffectOfAJobCommitsWithItsEnd) {
  add("t");
  ASSERT_TRUE(end(claim_one(), Completed{.effect = jobs->note("done")}));
  EXPECT_EQ(jobs->notes(), std::vector<std::string>{"done"});
}

TEST_P(JobEndingsConformance, AnEffectThatFailsLeavesTheAttemptRunningAndLetsTheOthersEnd) {
  add_all({{.type = "a"}, {.type = "b"}, {.type = "c"}, {.type = "d"}});
  auto claimed = claim_jobs(4);
  auto refuse = [note = jobs->note("taken back")](SqlTransaction transaction) -> Result<void> {
    if (auto noted = note(transaction); !noted) return noted;
    return fail(ErrorCode::kConflict, "no");
  };
  auto ended = end_all({{claimed[0].id, claimed[0].lease_token, Completed{.effect = jobs->note("a")}},
                        {claimed[1].id, claimed[1].lease_token, Completed{.effect = refuse}},
                        {claimed[2].id, claimed[2].lease_token, Completed{.effect = jobs->note("a")}},  // a statement that fails
                        {claimed[3].id, claimed[3].lease_token, Completed{.effect = jobs->note("d")}}});
  EXPECT_TRUE(ended[0]);
  EXPECT_EQ(refusal(ended[1]), ErrorCode::kConflict);
  EXPECT_FALSE(ended[2]);
  EXPECT_TRUE(ended[3]);
  EXPECT_EQ(jobs->notes(), (std::vector<std::string>{"a", "d"}));
  for (std::size_t i : {1, 2}) {
    EXPECT_EQ(find(claimed[i].id).status, JobStatus::kProcessing);
    EXPECT_TRUE(renew(claimed[i]));
    EXPECT_TRUE(end(claimed[i], Completed{}));
  }
}

TEST_P(JobEndingsConformance, AnAttemptThatIsNotOursHasNoEffect) {
  Job made = add("t");
  auto stale = claim_and_lose();
  ASSERT_EQ(take_over(), 1u);
  EXPECT_FALSE(end(stale, Completed{.effect = jobs->note("stale")}));
  auto claimed = claim_one();
  EXPECT_EQ(claimed.id, made.id);
  ASSERT_TRUE(end(claimed, Completed{.effect = jobs->note("ours")}));
  auto again = end(claimed, Completed{.effect = jobs->note("again")});
  EXPECT_TRUE(again.value().is_repeated);
  EXPECT_EQ(jobs->notes(), std::vector<std::string>{"ours"});
}

TEST_P(JobEndingsConformance, AnEffectMayEnqueueJobs) {
  add("first");
  ASSERT_TRUE(end(claim_one(),
                  Completed{.effect = [this](SqlTransaction transaction) { return queue().enqueue_in(transaction, {.type = "next"}); }}));
  EXPECT_EQ(claim_one().type, "next");
}

// --- tokens ---

TEST_P(JobEndingsConformance, EndingAgainWithTheSameTokenIsTheSameAnswer) {
  auto made = add_all({{.type = "completes"}, {.type = "fails"}, {.type = "dies", .max_attempts = 1}, {.type = "snoozes"}});
  auto claimed = claim_jobs(4);
  for (bool is_repeated : {false, true, true}) {
    auto ended = end_all({{claimed[0].id, claimed[0].lease_token, Completed{.result = R"({"n":1})"}},
                          {claimed[1].id, claimed[1].lease_token, Failed{.error = "no"}},
                          {claimed[2].id, claimed[2].lease_token, Failed{.error = "no"}},
                          {claimed[3].id, claimed[3].lease_token, Snoozed{.wait = hours(1)}}});
    EXPECT_EQ(ended[0].value().status, JobStatus::kCompleted);
    EXPECT_EQ(ended[1].value().status, JobStatus::kPending);
    EXPECT_EQ(ended[2].value().status, JobStatus::kDead);
    EXPECT_EQ(ended[3].value().status, JobStatus::kPending);
    for (const auto& each : ended) EXPECT_EQ(each.value().is_repeated, is_repeated);
    jobs->restart();
  }
  EXPECT_EQ(jobs->history().size(), 3u);
  EXPECT_EQ(stats().stale_refused, 0u);
}

TEST_P(JobEndingsConformance, AnAttemptThatEndedOneWayDoesNotEndAnother) {
  add_all({{.type = "completes"}, {.type = "fails"}});
  auto claimed = claim_jobs(2);
  ASSERT_TRUE(end(claimed[0], Completed{}));
  EXPECT_EQ(refusal(end(claimed[0], Failed{.error = "no"})), ErrorCode::kConflict);
  EXPECT_EQ(refusal(end(claimed[0], Snoozed{.wait = hours(1)})), ErrorCode::kConflict);
  EXPECT_EQ(refusal(renew(claimed[0])), ErrorCode::kConflict);
  ASSERT_TRUE(end(claimed[1], Failed{.error = "no"}));
  EXPECT_EQ(refusal(end(claimed[1], Completed{})), ErrorCode::kConflict);
  EXPECT_EQ(jobs->history().size(), 2u);
}

TEST_P(JobEndingsConformance, AStaleTokenIsRefusedAndCounted) {
  Job made = add("t");
  auto stale = claim_and_lose();
  ASSERT_EQ(take_over(), 1u);
  auto refused = [&] {
    EXPECT_EQ(refusal(end(stale, Completed{})), ErrorCode::kStaleLease);
    EXPECT_EQ(refusal(end(stale, Failed{.error = "the lease ended"})), ErrorCode::kStaleLease);
    EXPECT_EQ(refusal(end(stale, Snoozed{.wait = hours(1)})), ErrorCode::kStaleLease);
    EXPECT_EQ(refusal(renew(stale)), ErrorCode::kStaleLease);
  };
  refused();  // while it waits
  auto ours = claim_one();
  EXPECT_NE(ours.lease_token, stale.lease_token);
  refused();  // while another runs it
  EXPECT_EQ(find(made.id).status, JobStatus::kProcessing);
  ASSERT_TRUE(end(ours, Completed{}));
  refused();  // after that
  EXPECT_EQ(stats().stale_refused, 12u);
  EXPECT_EQ(attempts(made.id), (std::vector<std::string>{"failed", "completed"}));
  jobs->restart();
  EXPECT_EQ(stats().stale_refused, 12u);
}

TEST_P(JobEndingsConformance, TheTokenOfASnoozedAttemptIsStaleForWhoTakesTheJobNext) {
  add("t");
  auto snoozed = claim_one();
  ASSERT_TRUE(end(snoozed, Snoozed{.wait = milliseconds(0)}));
  EXPECT_EQ(refusal(end(snoozed, Completed{})), ErrorCode::kConflict) << "nobody has it yet";
  EXPECT_EQ(refusal(renew(snoozed)), ErrorCode::kConflict);
  auto ours = claim_one();
  EXPECT_EQ(refusal(end(snoozed, Completed{})), ErrorCode::kStaleLease);
  EXPECT_EQ(refusal(renew(snoozed)), ErrorCode::kStaleLease);
  EXPECT_TRUE(end(ours, Completed{}));
}

TEST_P(JobEndingsConformance, OneOfManyWhoEndAnAttemptAtOnceEndsIt) {
  add("t");
  auto claimed = claim_one();
  std::atomic<int> ended = 0;
  std::atomic<int> repeated = 0;
  std::vector<std::jthread> callers;
  for (std::size_t i = 0; i < 16; ++i) {
    callers.emplace_back([&, i] {
      auto answer = run(queue(i % 2).end({{claimed.id, claimed.lease_token, Completed{.effect = jobs->note("once")}}})).value().front();
      ASSERT_TRUE(answer) << answer.error().message;
      ++(answer->is_repeated ? repeated : ended);
    });
  }
  callers.clear();
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(repeated, 15);
  EXPECT_EQ(jobs->history().size(), 1u);
}

TEST_P(JobEndingsConformance, UnknownJobsAreNotFound) {
  ClaimedJob unknown{.id = JobId(12'345), .type = "t", .payload = "{}", .lease_token = "token"};
  EXPECT_EQ(refusal(end(unknown, Completed{})), ErrorCode::kNotFound);
  EXPECT_EQ(refusal(renew(unknown)), ErrorCode::kNotFound);
  EXPECT_EQ(stats().stale_refused, 0u);
}

// --- leases ---

TEST_P(JobEndingsConformance, ARenewedLeaseLastsItsLengthFromNow) {
  Job made = add("t");
  auto claimed = claim({.lease = hours(1)}).jobs.at(0);
  for (int i = 0; i < 5; ++i) {
    jobs->pass(minutes(50));
    auto renewed = renew(claimed, R"({"percent":)" + std::to_string(i) + "}");
    ASSERT_TRUE(renewed);
    EXPECT_FALSE(renewed->is_cancelled);
    EXPECT_EQ(find(made.id).lease_expires_at, renewed->lease_expires_at);
    EXPECT_GT(renewed->lease_expires_at - jobs->now(), minutes(50));
    EXPECT_LE(renewed->lease_expires_at - jobs->now(), hours(1));
    EXPECT_EQ(take_over(), 0u);
  }
  EXPECT_EQ(without_spaces(find(made.id).progress.value()), R"({"percent":4})");
  ASSERT_TRUE(renew(claimed));
  EXPECT_TRUE(find(made.id).progress) << "a renewal without progress leaves it as it is";
  EXPECT_TRUE(end(claimed, Completed{}));
}

TEST_P(JobEndingsConformance, RenewalsAreAnsweredInOrder) {
  add_all({{.type = "a"}, {.type = "b"}});
  auto claimed = claim_jobs(2);
  auto renewed = run(queue().renew({{.job = JobId(99'999), .lease_token = "t"},
                                    {.job = claimed[1].id, .lease_token = claimed[1].lease_token, .progress = "{}"},
                                    {.job = claimed[0].id, .lease_token = "not its token"},
                                    {.job = claimed[0].id, .lease_token = claimed[0].lease_token}}))
                     .value();
  ASSERT_EQ(renewed.size(), 4u);
  EXPECT_EQ(refusal(renewed[0]), ErrorCode::kNotFound);
  EXPECT_TRUE(renewed[1]);
  EXPECT_EQ(refusal(renewed[2]), ErrorCode::kStaleLease);
  EXPECT_TRUE(renewed[3]);
  EXPECT_TRUE(find(claimed[1].id).progress);
  EXPECT_FALSE(find(claimed[0].id).progress);
}

TEST_P(JobEndingsConformance, ALeaseThatIsOverIsItsWorkersUntilItIsTakenOver) {
  add_all({{.type = "a"}, {.type = "b"}});
  auto first = claim_and_lose();
  EXPECT_TRUE(end(first, Completed{}));
  auto second = claim_and_lose();
  EXPECT_TRUE(renew(second));
  EXPECT_EQ(take_over(), 0u);
  EXPECT_TRUE(end(second, Completed{}));
}

TEST_P(JobEndingsConformance, AJobWhoseWorkerDiedRunsAgainAtOnce) {
  Job made = add({.type = "t", .max_attempts = 3});
  auto lost = claim({.lease = hours(1)}).jobs.at(0);
  jobs->pass(minutes(55));
  EXPECT_EQ(take_over(), 0u) << "the lease is not over";
  jobs->pass(minutes(6));
  EXPECT_EQ(take_over(), 1u);
  EXPECT_EQ(take_over(), 0u);
  Job waiting = find(made.id);
  EXPECT_EQ(waiting.status, JobStatus::kPending);
  EXPECT_EQ(waiting.attempts, 1) << "it counts: a job that kills its workers must come to an end";
  EXPECT_TRUE(waiting.failed_at && waiting.error_message);
  EXPECT_FALSE(waiting.lease_expires_at);
  EXPECT_EQ(stats().failed, 1u);
  auto next = claim_one();
  EXPECT_EQ(next.id, made.id);
  EXPECT_EQ(next.attempts, 2);
  EXPECT_NE(next.lease_token, lost.lease_token);
  EXPECT_EQ(attempts(made.id), std::vector<std::string>{"failed"});
}

TEST_P(JobEndingsConformance, AJobWhoseLastWorkerDiedIsDead) {
  Job made = add({.type = "t", .max_attempts = 2});
  claim_and_lose();
  ASSERT_EQ(take_over(), 1u);
  claim_and_lose();
  ASSERT_EQ(take_over(), 1u);
  EXPECT_EQ(find(made.id).status, JobStatus::kDead);
  EXPECT_EQ(attempts(made.id), (std::vector<std::string>{"failed", "dead"}));
  EXPECT_TRUE(claim_jobs(1).empty());
}

TEST_P(JobEndingsConformance, ManyAreTakenOverInSteps) {
  add_all(std::vector<JobDraft>(25, {.type = "t"}));
  ASSERT_EQ(claim({.limit = 25, .lease = kLeaseMin}).jobs.size(), 25u);
  jobs->pass(minutes(10));
  EXPECT_EQ(take_over(10), 10u);
  EXPECT_EQ(take_over(10), 10u);
  EXPECT_EQ(take_over(10), 5u);
  EXPECT_EQ(take_over(10), 0u);
  EXPECT_EQ(claim_jobs(100).size(), 25u);
}

TEST_P(JobEndingsConformance, ALeaseIsTakenOverOnceHoweverManyLook) {
  add_all(std::vector<JobDraft>(40, {.type = "t", .max_attempts = 1}));
  ASSERT_EQ(claim({.limit = 40, .lease = kLeaseMin}).jobs.size(), 40u);
  jobs->pass(minutes(10));
  std::atomic<std::size_t> taken = 0;
  std::vector<std::jthread> nodes;
  for (std::size_t i = 0; i < 8; ++i) {
    nodes.emplace_back([&, i] {
      for (int n = 0; n < 10; ++n) taken += run(queue(i % 2).take_over_expired(7)).value();
    });
  }
  nodes.clear();
  EXPECT_EQ(taken, 40u);
  EXPECT_EQ(jobs->history().size(), 40u);
}

}  // namespace hearth::jobs
