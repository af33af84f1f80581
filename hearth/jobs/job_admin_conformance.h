#pragma once

// What every JobAdmin promises (job_admin.h), as tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "hearth/jobs/jobs_under_test.h"

namespace hearth::jobs {

class JobAdminConformance : public JobsConformance {
 protected:
  std::vector<JobId> search(JobSearch search) { return ids_of(run(admin().search(std::move(search))).value().jobs); }
  // One that waits, one that runs, one that waits after a failure, one that is dead, completed and cancelled, in this order.
  std::vector<JobId> one_of_each() {
    std::vector<JobId> ids;
    for (const char* type : {"waits", "runs", "failed", "dead", "completed", "cancelled"}) ids.push_back(add(type).id);
    auto claimed = claim({.types = {{"runs", 1}, {"failed", 1}, {"dead", 1}, {"completed", 1}}, .limit = 4}).jobs;
    for (const ClaimedJob& job : claimed) {
      if (job.type == "failed") EXPECT_TRUE(end(job, Failed{.error = "no luck", .retry_after = hours(1)}));
      if (job.type == "dead") EXPECT_TRUE(end(job, Failed{.error = "no hope", .is_final = true}));
      if (job.type == "completed") EXPECT_TRUE(end(job, Completed{}));
    }
    EXPECT_TRUE(run(admin().cancel(ids[5])));
    return ids;
  }
  std::size_t prune_all(UtcMicros before) {
    std::size_t all = 0;
    while (true) {
      std::size_t pruned = run(admin().prune(before, 10)).value();
      all += pruned;
      if (pruned < 10) return all;
    }
  }
};

TEST_P(JobAdminConformance, UnknownJobsAreNotFound) {
  EXPECT_EQ(refusal(run(admin().find(JobId(12'345)))), ErrorCode::kNotFound);
  EXPECT_EQ(refusal(run(admin().cancel(JobId(12'345)))), ErrorCode::kNotFound);
  EXPECT_EQ(refusal(run(admin().retry(JobId(12'345)))), ErrorCode::kNotFound);
}

// --- cancel, retry ---

TEST_P(JobAdminConformance, AWaitingJobThatIsCancelledNeverRuns) {
  Job made = add({.type = "t", .payload = R"({"a":1})", .scheduled_for = jobs->now() + hours(1)});
  auto cancelled = run(admin().cancel(made.id));
  ASSERT_TRUE(cancelled);
  EXPECT_EQ(cancelled->status, JobStatus::kCancelled);
  jobs->pass(hours(2));
  auto claimed = claim({});
  EXPECT_TRUE(claimed.jobs.empty());
  EXPECT_FALSE(claimed.next_due_in);
  Job job = find(made.id);
  EXPECT_EQ(job.status, JobStatus::kCancelled);
  EXPECT_EQ(without_spaces(job.payload), R"({"a":1})");
  EXPECT_FALSE(job.started_at || job.completed_at);
  EXPECT_EQ(attempts(made.id), std::vector<std::string>{"cancelled"});
  EXPECT_EQ(run(admin().cancel(made.id)).value().status, JobStatus::kCancelled) << "again is no error";
  EXPECT_EQ(jobs->history().size(), 1u);
}

TEST_P(JobAdminConformance, TheWorkerOfACancelledJobHearsOfIt) {
  Job made = add("t");
  auto claimed = claim_one();
  ASSERT_EQ(run(admin(1).cancel(made.id)).value().status, JobStatus::kCancelled);
  for (int i = 0; i < 2; ++i) {
    auto renewed = renew(claimed);
    ASSERT_TRUE(renewed);
    EXPECT_TRUE(renewed->is_cancelled);
  }
  for (Outcome outcome : {Outcome(Completed{.effect = jobs->note("too late")}), Outcome(Failed{.error = "no"}), Outcome(Snoozed{})}) {
    EXPECT_EQ(refusal(end(claimed, outcome)), ErrorCode::kConflict);
  }
  EXPECT_TRUE(jobs->notes().empty());
  EXPECT_EQ(attempts(made.id), std::vector<std::string>{"cancelled"});
  EXPECT_EQ(run(admin().find(made.id)).value().attempts[0].worker, "w0");
  EXPECT_EQ(stats().stale_refused, 0u);
  jobs->pass(hours(2));
  EXPECT_EQ(take_over(), 0u);
}

TEST_P(JobAdminConformance, AnEarlierAttemptOfACancelledJobIsStale) {
  Job made = add("t");
  auto stale = claim({.lease = kLeaseMin}).jobs.at(0);
  jobs->pass(minutes(10));
  ASSERT_EQ(take_over(), 1u);
  claim_one();
  ASSERT_TRUE(run(admin().cancel(made.id)));
  EXPECT_EQ(refusal(end(stale, Completed{})), ErrorCode::kStaleLease);
  EXPECT_EQ(refusal(renew(stale)), ErrorCode::kStaleLease);
}

TEST_P(JobAdminConformance, WhatHasEndedIsNotCancelled) {
  auto ids = one_of_each();
  EXPECT_EQ(refusal(run(admin().cancel(ids[4]))), ErrorCode::kConflict);
  EXPECT_EQ(refusal(run(admin().cancel(ids[3]))), ErrorCode::kConflict) << "a dead job has ended otherwise";
  EXPECT_EQ(find(ids[4]).status, JobStatus::kCompleted);
  EXPECT_TRUE(run(admin().cancel(ids[2]))) << "one that failed waits";
}

TEST_P(JobAdminConformance, ADeadJobThatIsRetriedHasAllItsAttemptsAgain) {
  Job made = add({.type = "t", .max_attempts = 2});
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(end(claim_one(), Failed{.error = "no"}));
    jobs->pass(hours(2));
  }
  ASSERT_EQ(find(made.id).status, JobStatus::kDead);
  auto retried = run(admin().retry(made.id));
  ASSERT_TRUE(retried);
  EXPECT_EQ(retried->status, JobStatus::kPending);
  EXPECT_EQ(retried->attempts, 0);
  EXPECT_EQ(stats().failed, 0u) << "it starts anew";
  for (int attempt = 1; attempt <= 2; ++attempt) {
    auto claimed = claim_one();
    EXPECT_EQ(claimed.attempts, attempt);
    ASSERT_TRUE(end(claimed, Failed{.error = "no"}));
    jobs->pass(hours(2));
  }
  EXPECT_EQ(find(made.id).status, JobStatus::kDead);
  EXPECT_EQ(attempts(made.id), (std::vector<std::string>{"failed", "dead", "failed", "dead"}));
}

TEST_P(JobAdminConformance, OnlyADeadJobIsRetried) {
  auto ids = one_of_each();
  for (std::size_t i : {0, 1, 2, 4, 5}) EXPECT_EQ(refusal(run(admin().retry(ids[i]))), ErrorCode::kConflict) << i;
  EXPECT_TRUE(run(admin().retry(ids[3])));
  EXPECT_EQ(refusal(run(admin().retry(ids[3]))), ErrorCode::kConflict);
}

// --- search ---

TEST_P(JobAdminConformance, JobsAreFoundByTheirStatus) {
  auto ids = one_of_each();
  EXPECT_EQ(search({}), std::vector(ids.rbegin(), ids.rend()));
  EXPECT_EQ(search({.status = JobStatus::kPending}), (std::vector{ids[2], ids[0]}));
  EXPECT_EQ(search({.status = JobStatus::kPending, .has_failed = true}), std::vector{ids[2]});
  EXPECT_EQ(search({.status = JobStatus::kProcessing}), std::vector{ids[1]});
  EXPECT_EQ(search({.status = JobStatus::kDead}), std::vector{ids[3]});
  EXPECT_EQ(search({.status = JobStatus::kCompleted}), std::vector{ids[4]});
  EXPECT_EQ(search({.status = JobStatus::kCancelled}), std::vector{ids[5]});
  for (const Job& job : run(admin().search({})).value().jobs) EXPECT_EQ(job, find(job.id));
}

TEST_P(JobAdminConformance, JobsAreFoundByTheirTypeAndText) {
  JobId typed = add("special").id;
  JobId payload = add({.type = "t", .payload = R"({"name":"needle_a"})"}).id;
  JobId key = add({.type = "t", .idempotency_key = "needle_b"}).id;
  JobId completed = add({.type = "gone", .payload = R"({"name":"needle_c"})"}).id;
  JobId failed = add("fails").id;
  for (const ClaimedJob& job : claim({.types = {{"gone", 1}, {"fails", 1}}, .limit = 2}).jobs) {
    if (job.type == "gone") ASSERT_TRUE(end(job, Completed{}));
    if (job.type == "fails") ASSERT_TRUE(end(job, Failed{.error = "100% needle_d"}));
  }
  EXPECT_EQ(search({.type = "special"}), std::vector{typed});
  EXPECT_TRUE(search({.type = "speci"}).empty());
  EXPECT_EQ(search({.text = "speci"}), std::vector{typed});
  EXPECT_EQ(search({.text = "needle"}), (std::vector{failed, completed, key, payload}));
  EXPECT_EQ(search({.type = "t", .text = "needle"}), (std::vector{key, payload}));
  EXPECT_EQ(search({.status = JobStatus::kCompleted, .text = "needle"}), std::vector{completed});
  EXPECT_EQ(search({.text = "100%"}), std::vector{failed});
  EXPECT_TRUE(search({.text = "need%_"}).empty()) << "no wildcards";
  EXPECT_EQ(search({.text = to_text(completed)}), std::vector{completed});
}

TEST_P(JobAdminConformance, PagesFollowEachOtherThroughWaitingAndEndedJobs) {
  std::vector<JobId> ids;
  for (const EnqueuedJob& made : add_all(std::vector<JobDraft>(25, {.type = "t"}))) ids.push_back(made.job.id);
  for (std::size_t i = 0; i < 25; i += 2) ASSERT_TRUE(run(admin().cancel(ids[i])));
  std::ranges::reverse(ids);
  std::vector<JobId> seen;
  JobSearch page{.limit = 10};
  for (std::size_t expected : {10, 10, 5}) {
    auto found = run(admin().search(page)).value();
    EXPECT_EQ(found.jobs.size(), expected);
    for (const Job& job : found.jobs) seen.push_back(job.id);
    EXPECT_EQ(found.next.has_value(), expected == 10);
    page.before = found.next;
  }
  EXPECT_EQ(seen, ids);
  EXPECT_FALSE(run(admin().search({.limit = 25})).value().next) << "the last page is full and still the last";
}

// --- stats ---

TEST_P(JobAdminConformance, AnEmptyQueueHasNothing) {
  QueueStats empty = stats();
  EXPECT_EQ(empty.pending + empty.processing + empty.failed + empty.dead + empty.stuck + empty.stale_refused, 0u);
  EXPECT_FALSE(empty.oldest_pending_age);
  EXPECT_TRUE(empty.by_type.empty());
  QueueHealth health = run(admin().health()).value();
  EXPECT_EQ(health.stuck + health.pending, 0u);
}

TEST_P(JobAdminConformance, StatsCountWhatIsThere) {
  one_of_each();
  add_all({{.type = "waits"}, {.type = "waits", .scheduled_for = jobs->now() + hours(5)}});
  QueueStats now = stats();
  EXPECT_EQ(now.pending, 4u) << "one that failed among them";
  EXPECT_EQ(now.processing, 1u);
  EXPECT_EQ(now.failed, 1u);
  EXPECT_EQ(now.dead, 1u);
  EXPECT_EQ(now.stuck, 0u);
  std::vector<std::tuple<std::string, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>> types;
  for (const TypeStats& of : now.by_type) types.emplace_back(of.type, of.pending, of.processing, of.failed, of.dead);
  std::ranges::sort(types);
  EXPECT_EQ(types, (decltype(types){{"dead", 0, 0, 0, 1}, {"failed", 1, 0, 1, 0}, {"runs", 0, 1, 0, 0}, {"waits", 3, 0, 0, 0}}));
  EXPECT_EQ(run(admin().health()).value().pending, 4u);
}

TEST_P(JobAdminConformance, TheOldestPendingAgeIsSinceAJobWasDue) {
  add({.type = "t", .scheduled_for = jobs->now() + hours(3)});
  EXPECT_EQ(stats().oldest_pending_age, milliseconds(0));
  add({.type = "t", .scheduled_for = jobs->now() - hours(1)});
  EXPECT_GE(stats().oldest_pending_age.value(), hours(1));
  EXPECT_LE(stats().oldest_pending_age.value(), hours(1) + minutes(10));
  claim_one();
  EXPECT_EQ(stats().oldest_pending_age, milliseconds(0)) << "a running one does not wait";
  jobs->pass(hours(5));
  EXPECT_GE(stats().oldest_pending_age.value(), hours(2));
}

TEST_P(JobAdminConformance, AJobIsStuckWhenNobodyTookItsLeaseOver) {
  add("t");
  auto claimed = claim({.lease = hours(1)}).jobs.at(0);
  auto stuck = [&] {
    EXPECT_EQ(run(admin().health()).value().stuck, stats().stuck);
    return stats().stuck;
  };
  EXPECT_EQ(stuck(), 0u);
  jobs->pass(hours(1) - minutes(5));
  EXPECT_EQ(stuck(), 0u);
  jobs->pass(minutes(5) + kStuckAfter + seconds(1));
  EXPECT_EQ(stuck(), 1u);
  ASSERT_EQ(take_over(), 1u);
  EXPECT_EQ(stuck(), 0u);
}

// --- settings of types ---

TEST_P(JobAdminConformance, SettingsOfATypeAreKept) {
  EXPECT_TRUE(run(admin().types()).value().empty());
  TypeSettings settings{.type = "t",
                        .rate = TypeSettings::Rate{.count = 3, .window = seconds(90)},
                        .max_attempts = 9,
                        .retry_base = seconds(5),
                        .retry_max = seconds(50)};
  ASSERT_TRUE(run(admin().configure(settings)));
  EXPECT_EQ(run(admin(1).types()).value(), std::vector{settings});
  ASSERT_TRUE(run(admin().set_paused("t", true)));
  settings.rate.reset();
  settings.retry_max.reset();
  ASSERT_TRUE(run(admin().configure(settings)));
  settings.is_paused = true;
  jobs->restart();
  EXPECT_EQ(run(admin().types()).value(), std::vector{settings}) << "configuring leaves the pause as it is";
  ASSERT_TRUE(run(admin().set_paused("another", true)));
  ASSERT_TRUE(run(admin().set_paused("another", true)));
  auto types = run(admin().types()).value();
  ASSERT_EQ(types.size(), 2u);
  EXPECT_EQ(types[0], (TypeSettings{.type = "another", .is_paused = true}));
}

TEST_P(JobAdminConformance, SoManyTypesHaveSettingsAndNoMore) {
  for (std::size_t i = 0; i < kJobTypesMax; ++i) ASSERT_TRUE(run(admin().configure({.type = "t" + std::to_string(i), .max_attempts = 1})));
  EXPECT_EQ(refusal(run(admin().configure({.type = "more", .max_attempts = 1}))), ErrorCode::kTooLarge);
  EXPECT_TRUE(run(admin().configure({.type = "t7", .max_attempts = 2})));
  EXPECT_TRUE(run(admin().set_paused("t8", true)));
}

// --- prune ---

TEST_P(JobAdminConformance, WhatEndedLongAgoIsPruned) {
  auto old = one_of_each();
  jobs->pass(hours(24 * 40));
  auto young = one_of_each();
  // Ended: dead with its attempt, failed attempt, completed, cancelled.
  EXPECT_EQ(prune_all(jobs->now() - hours(24 * 30)), 5u);
  EXPECT_EQ(prune_all(jobs->now() - hours(24 * 30)), 0u);
  for (std::size_t i : {3, 4, 5}) EXPECT_EQ(refusal(run(admin().find(old[i]))), ErrorCode::kNotFound) << i;
  for (std::size_t i : {0, 1, 2}) EXPECT_TRUE(run(admin().find(old[i]))) << i;
  for (JobId id : young) EXPECT_TRUE(run(admin().find(id)));
}

TEST_P(JobAdminConformance, PruningGoesInSteps) {
  for (const EnqueuedJob& made : add_all(std::vector<JobDraft>(25, {.type = "t"}))) ASSERT_TRUE(run(admin().cancel(made.job.id)));
  jobs->pass(hours(48));
  std::vector<std::size_t> steps;
  do {
    steps.push_back(run(admin().prune(jobs->now() - hours(1), 10)).value());
  } while (steps.back() >= 10);
  EXPECT_EQ(steps, (std::vector<std::size_t>{10, 10, 5}));
}

TEST_P(JobAdminConformance, KeysThatAreKeptNoLongerArePruned) {
  add({.type = "t", .idempotency_key = "ended"});
  ASSERT_TRUE(end(claim_one(), Completed{}));
  add({.type = "t", .scheduled_for = jobs->now() + hours(100), .idempotency_key = "active"});
  jobs->pass(hours(23));
  prune_all(jobs->now() - hours(24 * 30));
  EXPECT_EQ(jobs->count("SELECT count(*) FROM job_keys"), 2);
  jobs->pass(hours(2));
  prune_all(jobs->now() - hours(24 * 30));
  EXPECT_EQ(jobs->count("SELECT count(*) FROM job_keys"), 1);
  EXPECT_TRUE(add_all({{.type = "t", .idempotency_key = "active"}})[0].is_duplicate);
}

TEST_P(JobAdminConformance, AJobIsNotPrunedWhileItsKeyNamesIt) {
  Job made = add({.type = "t", .idempotency_key = "k"});
  ASSERT_TRUE(end(claim_one(), Completed{}));
  jobs->pass(hours(2));
  prune_all(jobs->now() - hours(1));
  EXPECT_EQ(add_all({{.type = "t", .idempotency_key = "k"}})[0].job.id, made.id);
  EXPECT_TRUE(run(admin().find(made.id)));
  jobs->pass(hours(24));
  prune_all(jobs->now() - hours(1));
  EXPECT_FALSE(run(admin().find(made.id)));
}

TEST_P(JobAdminConformance, UpdatedAtMovesWithEveryChangeOfOthersToo) {
  Job made = add("t");
  jobs->pass(hours(1));
  Job before = find(made.id);
  ASSERT_TRUE(jobs->change_payload(made.id, R"({"changed":1})"));
  Job after = find(made.id);
  EXPECT_EQ(without_spaces(after.payload), R"({"changed":1})");
  EXPECT_GT(after.updated_at - before.updated_at, minutes(30));
}

}  // namespace hearth::jobs
