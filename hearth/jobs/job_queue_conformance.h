#pragma once

// What every JobQueue promises (job_queue.h), as tests: how jobs come in, and who gets them. How they end is
// job_endings_conformance.h.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/jobs/jobs_under_test.h"

namespace hearth::jobs {

class JobQueueConformance : public JobsConformance {
 protected:
  // Claims one at a time until there is none.
  std::vector<std::string> types_one_by_one() {
    std::vector<std::string> types;
    while (true) {
      auto claimed = claim_jobs(1);
      if (claimed.empty()) return types;
      types.push_back(claimed[0].type);
    }
  }
};

// --- enqueue ---

TEST_P(JobQueueConformance, AJobIsKeptAsItWasAskedFor) {
  UtcMicros due = jobs->now() + hours(1);
  Job made = add({.type = "t",
                  .payload = R"({"a":"ü"})",
                  .priority = 7,
                  .scheduled_for = due,
                  .idempotency_key = "k",
                  .max_attempts = 9,
                  .url = "https://example.org/hook"});
  EXPECT_EQ(made.type, "t");
  EXPECT_EQ(without_spaces(made.payload), R"({"a":"ü"})");
  EXPECT_EQ(made.url, "https://example.org/hook");
  EXPECT_EQ(made.status, JobStatus::kPending);
  EXPECT_EQ(made.priority, 7);
  EXPECT_EQ(made.attempts, 0);
  EXPECT_EQ(made.max_attempts, 9);
  EXPECT_EQ(made.scheduled_for, due);
  EXPECT_EQ(made.idempotency_key, "k");
  EXPECT_EQ(made.updated_at, made.created_at);
  EXPECT_FALSE(made.started_at || made.completed_at || made.failed_at || made.error_message || made.result || made.worker);
  jobs->restart();
  EXPECT_EQ(find(made.id), made);
}

TEST_P(JobQueueConformance, WhatIsNotAskedForHasItsDefault) {
  Job other = add("t");
  EXPECT_EQ(other.payload, "{}");
  EXPECT_EQ(other.priority, 0);
  EXPECT_EQ(other.max_attempts, kAttemptsDefault);
  EXPECT_EQ(other.scheduled_for, other.created_at);
  EXPECT_FALSE(other.idempotency_key || other.url);
  EXPECT_EQ(add("process_image").priority, default_priority("process_image"));
  EXPECT_EQ(find(other.id), other);
}

TEST_P(JobQueueConformance, ATypesSettingsSayHowManyAttemptsItsJobsGetUnlessTheJobDoes) {
  ASSERT_TRUE(run(admin().configure({.type = "t", .max_attempts = 7})));
  EXPECT_EQ(add("t").max_attempts, 7);
  EXPECT_EQ(add({.type = "t", .max_attempts = 2}).max_attempts, 2);
  EXPECT_EQ(add("other").max_attempts, kAttemptsDefault);
}

TEST_P(JobQueueConformance, ManyJobsAreAnsweredInOrder) {
  std::vector<JobDraft> drafts;
  for (std::size_t i = 0; i < kJobsPerEnqueueMax; ++i) drafts.push_back({.type = "t" + std::to_string(i % 7)});
  auto made = add_all(drafts);
  ASSERT_EQ(made.size(), drafts.size());
  std::set<JobId> ids;
  for (std::size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(made[i].job.type, drafts[i].type);
    EXPECT_FALSE(made[i].is_duplicate);
    ids.insert(made[i].job.id);
  }
  EXPECT_EQ(ids.size(), drafts.size());
  EXPECT_EQ(stats().pending, drafts.size());
  EXPECT_TRUE(add_all({}).empty());
}

TEST_P(JobQueueConformance, EachOfManyAnswersNamesItsOwnJob) {
  std::vector<JobDraft> drafts;
  for (std::size_t i = 0; i < 100; ++i)
    drafts.push_back({.type = "t" + std::to_string(i % 3), .payload = R"({"n":)" + std::to_string(i) + "}"});
  for (std::size_t i : {20u, 63u, 64u}) drafts[i].idempotency_key = "key " + std::to_string(i);
  drafts[40].debounce = {.key = "d", .within = minutes(1)};
  drafts[45].url = "https://example.com/";
  auto made = add_all(drafts);
  for (std::size_t i = 0; i < made.size(); ++i) {
    Job kept = find(made[i].job.id);
    EXPECT_EQ(std::tuple(kept.type, without_spaces(kept.payload), kept.idempotency_key, kept.url),
              std::tuple(drafts[i].type, drafts[i].payload, drafts[i].idempotency_key, drafts[i].url));
    EXPECT_EQ(made[i].job, kept);
  }
}

TEST_P(JobQueueConformance, OneJobThatCannotBeKeptKeepsTheOthersOut) {
  jobs->refuse("refused");
  EXPECT_FALSE(run(queue().enqueue({{.type = "a", .idempotency_key = "k"}, {.type = "refused"}, {.type = "b"}})));
  EXPECT_EQ(stats().pending, 0u);
  EXPECT_FALSE(add_all({{.type = "a", .idempotency_key = "k"}})[0].is_duplicate) << "the key was not taken";
}

TEST_P(JobQueueConformance, OneOfManyCallersWhoseJobCannotBeKeptKeepsNobodyElsesOut) {
  jobs->refuse("refused");
  std::atomic<int> made = 0;
  std::atomic<int> refused = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 64; ++i) {
    callers.emplace_back([&, i] {
      auto answer = run(queue(i % 2).enqueue({{.type = i % 8 == 3 ? "refused" : "t"}}));
      ++(answer ? made : refused);
    });
  }
  callers.clear();
  EXPECT_EQ(made, 56);
  EXPECT_EQ(refused, 8);
  EXPECT_EQ(stats().pending, 56u);
}

TEST_P(JobQueueConformance, AJobOfATransactionIsThereOnceThatHasCommitted) {
  auto refused = jobs->write([&](SqlTransaction transaction) -> Result<void> {
    EXPECT_TRUE(queue().enqueue_in(transaction, {.type = "t", .idempotency_key = "k"}));
    return fail(ErrorCode::kConflict, "no");
  });
  EXPECT_FALSE(refused);
  EXPECT_EQ(stats().pending, 0u);

  auto note = jobs->note("with it");
  auto written = jobs->write([&](SqlTransaction transaction) -> Result<void> {
    for (const char* payload : {R"({"n":1})", R"({"n":2})"}) {
      if (auto made = queue().enqueue_in(transaction, {.type = "t", .payload = payload, .idempotency_key = "k"}); !made) return made;
    }
    return note(transaction);
  });
  EXPECT_TRUE(written);
  EXPECT_EQ(jobs->notes(), std::vector<std::string>{"with it"});
  auto claimed = claim_jobs(10);
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(without_spaces(claimed[0].payload), R"({"n":1})");
}

TEST_P(JobQueueConformance, WhoWaitsHearsOfJobsThatCanBeClaimed) {
  auto seen = jobs->signal().count();
  auto hears = [&] { return jobs->signal().wait(seen, seconds(20)) > std::exchange(seen, jobs->signal().count()); };
  add({.type = "t", .max_attempts = 1});
  EXPECT_TRUE(hears());
  auto claimed = claim({.lease = kLeaseMin}).jobs.at(0);
  jobs->pass(minutes(10));
  seen = jobs->signal().count();
  ASSERT_EQ(take_over(), 1u);
  ASSERT_TRUE(run(admin().retry(claimed.id)));
  EXPECT_TRUE(hears());
  ASSERT_TRUE(run(admin().set_paused("t", true)));
  seen = jobs->signal().count();
  ASSERT_TRUE(run(admin().set_paused("t", false)));
  EXPECT_TRUE(hears());
}

// --- idempotency keys ---

TEST_P(JobQueueConformance, AKeyMakesOneJob) {
  Job first = add({.type = "t", .payload = R"({"n":1})", .idempotency_key = "k"});
  auto again = add_all({{.type = "other", .payload = R"({"n":2})", .priority = 9, .idempotency_key = "k"}}, 1)[0];
  EXPECT_TRUE(again.is_duplicate);
  EXPECT_EQ(again.job, first);
  EXPECT_EQ(find(first.id), first);
  EXPECT_FALSE(add_all({{.type = "t", .idempotency_key = "K"}})[0].is_duplicate) << "keys are compared byte by byte";
  EXPECT_EQ(stats().pending, 2u);
}

TEST_P(JobQueueConformance, AKeyMakesOneJobWithinOneRequest) {
  auto made = add_all({{.type = "a", .idempotency_key = "k"}, {.type = "b"}, {.type = "c", .idempotency_key = "k"}});
  EXPECT_FALSE(made[0].is_duplicate);
  EXPECT_FALSE(made[1].is_duplicate);
  EXPECT_TRUE(made[2].is_duplicate);
  EXPECT_EQ(made[2].job.id, made[0].job.id);
  EXPECT_EQ(made[2].job.type, "a");
  EXPECT_EQ(stats().pending, 2u);
}

TEST_P(JobQueueConformance, AKeyThatComesFrom64AtOnceMakesOneJob) {
  std::atomic<int> firsts = 0;
  std::vector<std::atomic<JobId>> ids(64);
  std::vector<std::jthread> callers;
  for (std::size_t i = 0; i < 64; ++i) {
    callers.emplace_back([&, i] {
      auto made = run(queue(i % 2).enqueue({{.type = "t", .idempotency_key = "k"}, {.type = "t", .idempotency_key = "l"}}));
      ASSERT_TRUE(made) << made.error().message;
      if (!(*made)[0].is_duplicate) ++firsts;
      ids[i] = (*made)[0].job.id;
    });
  }
  callers.clear();
  EXPECT_EQ(firsts, 1);
  EXPECT_TRUE(std::ranges::all_of(ids, [&](const auto& id) { return id == ids[0]; }));
  EXPECT_EQ(stats().pending, 2u);
}

TEST_P(JobQueueConformance, RequestsWithTheSameKeysInOtherOrdersDoNotHinderEachOther) {
  std::vector<std::jthread> callers;
  for (std::size_t i = 0; i < 16; ++i) {
    callers.emplace_back([&, i] {
      std::vector<JobDraft> drafts;
      for (int k = 0; k < 50; ++k) drafts.push_back({.type = "t", .idempotency_key = "k" + std::to_string(k)});
      if (i % 2) std::ranges::reverse(drafts);
      auto made = run(queue(i / 2 % 2).enqueue(drafts));
      EXPECT_TRUE(made) << made.error().message;
    });
  }
  callers.clear();
  EXPECT_EQ(stats().pending, 50u);
}

TEST_P(JobQueueConformance, AKeyStaysTakenADayAfterItsJobEnded) {
  Job first = add({.type = "t", .idempotency_key = "k"});
  jobs->pass(hours(30));
  EXPECT_TRUE(add_all({{.type = "t", .idempotency_key = "k"}})[0].is_duplicate) << "it has not ended";
  ASSERT_TRUE(end(claim_one(), Completed{.result = R"({"done":1})"}));
  jobs->pass(hours(23));
  auto again = add_all({{.type = "t", .idempotency_key = "k"}})[0];
  EXPECT_TRUE(again.is_duplicate);
  EXPECT_EQ(again.job.id, first.id);
  EXPECT_EQ(again.job.status, JobStatus::kCompleted);
  EXPECT_EQ(without_spaces(again.job.result.value()), R"({"done":1})");
  jobs->pass(hours(2));
  auto next = add_all({{.type = "t", .idempotency_key = "k"}, {.type = "t", .idempotency_key = "k"}});
  EXPECT_FALSE(next[0].is_duplicate);
  EXPECT_NE(next[0].job.id, first.id);
  EXPECT_TRUE(next[1].is_duplicate);
}

TEST_P(JobQueueConformance, AKeyStaysTakenADayAfterItsJobWasCancelledOrDied) {
  Job cancelled = add({.type = "t", .idempotency_key = "cancelled"});
  ASSERT_TRUE(run(admin().cancel(cancelled.id)));
  Job dead = add({.type = "t", .idempotency_key = "dead"});
  ASSERT_TRUE(end(claim_one(), Failed{.error = "no", .is_final = true}));
  for (const char* key : {"cancelled", "dead"}) {
    EXPECT_TRUE(add_all({{.type = "t", .idempotency_key = key}})[0].is_duplicate);
  }
  jobs->pass(hours(25));
  EXPECT_FALSE(add_all({{.type = "t", .idempotency_key = "cancelled"}})[0].is_duplicate);
  ASSERT_TRUE(run(admin().retry(dead.id)));
  EXPECT_TRUE(add_all({{.type = "t", .idempotency_key = "dead"}})[0].is_duplicate) << "the job is active again";
}

// --- debounce ---

TEST_P(JobQueueConformance, ADebouncedJobRunsOnceWithTheLastPayloadAtTheFirstTime) {
  Debounce debounce{.key = "d", .within = hours(1)};
  Job first = add({.type = "t", .payload = R"({"n":1})", .debounce = debounce});
  EXPECT_EQ(first.scheduled_for - first.created_at, hours(1));
  jobs->pass(minutes(30));
  Job before = find(first.id);
  auto made = add_all(
      {{.type = "t", .payload = R"({"n":2})", .debounce = debounce}, {.type = "t", .payload = R"({"n":3})", .debounce = debounce}}, 1);
  for (const EnqueuedJob& enqueued : made) EXPECT_EQ(enqueued.job.id, first.id);
  EXPECT_EQ(made[1].job.scheduled_for, before.scheduled_for);
  EXPECT_EQ(without_spaces(made[1].job.payload), R"({"n":3})");
  EXPECT_EQ(stats().pending, 1u);
  EXPECT_TRUE(claim_jobs(1).empty());
  jobs->pass(minutes(31));
  EXPECT_EQ(without_spaces(claim_one().payload), R"({"n":3})");
}

TEST_P(JobQueueConformance, ADebounceKeyIsFreeFromTheStartOfItsJobOn) {
  JobDraft draft{.type = "t", .debounce = Debounce{.key = "d", .within = milliseconds(0)}};
  Job first = add(draft);
  auto claimed = claim_one();
  draft.debounce->within = hours(2);
  Job second = add(draft);
  EXPECT_NE(second.id, first.id) << "what changed after the start needs another run";
  ASSERT_TRUE(end(claimed, Failed{.error = "no", .retry_after = hours(1)}));
  EXPECT_EQ(add(draft).id, second.id) << "the first one waits again, and does not have the key";
  EXPECT_EQ(stats().pending, 2u);

  ASSERT_TRUE(run(admin().cancel(second.id)));
  Job third = add(draft);
  EXPECT_NE(third.id, second.id);
  EXPECT_NE(third.id, first.id);
}

TEST_P(JobQueueConformance, ADebouncedJobThatComesFrom64AtOnceIsOne) {
  std::vector<std::jthread> callers;
  for (std::size_t i = 0; i < 64; ++i) {
    callers.emplace_back([&, i] {
      auto made = run(queue(i % 2).enqueue({{.type = "t", .debounce = Debounce{.key = "d", .within = hours(1)}}}));
      EXPECT_TRUE(made) << made.error().message;
    });
  }
  callers.clear();
  EXPECT_EQ(stats().pending, 1u);
}

// --- claims ---

TEST_P(JobQueueConformance, AClaimedJobHasALeaseOfItsOwn) {
  Job made = add({.type = "t", .payload = R"({"a":1})", .max_attempts = 5});
  Job other = add("t");
  auto claimed = claim({.limit = 2, .lease = hours(1)}, 1).jobs;
  ASSERT_EQ(claimed.size(), 2u);
  EXPECT_EQ(claimed[0].id, made.id);
  EXPECT_EQ(claimed[0].type, "t");
  EXPECT_EQ(without_spaces(claimed[0].payload), R"({"a":1})");
  EXPECT_EQ(claimed[0].attempts, 1);
  EXPECT_EQ(claimed[0].max_attempts, 5);
  EXPECT_EQ(claimed[0].scheduled_for, made.scheduled_for);
  EXPECT_EQ(claimed[0].lease_expires_at - claimed[0].started_at, hours(1));
  EXPECT_GE(claimed[0].lease_token.size(), 32u);
  EXPECT_NE(claimed[0].lease_token, claimed[1].lease_token);

  Job running = find(made.id);
  EXPECT_EQ(running.status, JobStatus::kProcessing);
  EXPECT_EQ(running.attempts, 1);
  EXPECT_EQ(running.started_at, claimed[0].started_at);
  EXPECT_EQ(running.worker, "w1");
  EXPECT_EQ(running.lease_expires_at, claimed[0].lease_expires_at);
  EXPECT_TRUE(claim_jobs(10).empty());
}

TEST_P(JobQueueConformance, AHigherPriorityComesFirstThenWhatWasDueFirst) {
  UtcMicros now = jobs->now();
  add({.type = "low_old", .priority = 1, .scheduled_for = now - hours(9)});
  add({.type = "high_young", .priority = 10, .scheduled_for = now - hours(1)});
  add({.type = "high_old", .priority = 10, .scheduled_for = now - hours(2)});
  add({.type = "middle", .priority = 5, .scheduled_for = now - hours(3)});
  add({.type = "high_old", .priority = 10, .scheduled_for = now - minutes(30)});
  add({.type = "zero", .priority = 0, .scheduled_for = now - hours(10)});
  add({.type = "high_later", .priority = 10, .scheduled_for = now + hours(1)});
  EXPECT_EQ(types_one_by_one(), (std::vector<std::string>{"high_old", "high_young", "high_old", "middle", "low_old", "zero"}));
}

TEST_P(JobQueueConformance, ABatchIsWhatComesFirstAcrossTypesAndInThatOrder) {
  UtcMicros now = jobs->now();
  std::vector<JobDraft> drafts;
  for (int i = 0; i < 30; ++i) {  // three types in turn, the oldest last
    drafts.push_back({.type = "t" + std::to_string(i % 3), .priority = i % 2, .scheduled_for = now - hours(i + 1)});
  }
  auto made = add_all(drafts);
  std::ranges::sort(made, [](const EnqueuedJob& a, const EnqueuedJob& b) {
    return std::pair(-a.job.priority, a.job.scheduled_for) < std::pair(-b.job.priority, b.job.scheduled_for);
  });
  std::vector<JobId> expected;
  for (const EnqueuedJob& enqueued : made) expected.push_back(enqueued.job.id);
  std::vector<JobId> got = ids_of(claim_jobs(7));
  EXPECT_EQ(got, std::vector(expected.begin(), expected.begin() + 7));
  got = ids_of(claim_jobs(100));
  EXPECT_EQ(got, std::vector(expected.begin() + 7, expected.end()));
}

TEST_P(JobQueueConformance, JobsThatAreDueAtTheSameTimeComeInTheOrderTheyWereMade) {
  UtcMicros due = jobs->now() - hours(1);
  std::vector<JobDraft> drafts(20, {.type = "t", .scheduled_for = due});
  auto made = add_all(drafts);
  auto claimed = claim_jobs(20);
  ASSERT_EQ(claimed.size(), 20u);
  for (std::size_t i = 0; i < made.size(); ++i) EXPECT_EQ(claimed[i].id, made[i].job.id);
}

TEST_P(JobQueueConformance, AFutureJobWaitsUntilItIsDue) {
  EXPECT_FALSE(claim({}).next_due_in) << "nothing is known of";
  add({.type = "t", .priority = 10, .scheduled_for = jobs->now() + hours(2)});
  add({.type = "t", .scheduled_for = jobs->now() + hours(1)});
  auto early = claim({.limit = 5});
  EXPECT_TRUE(early.jobs.empty());
  ASSERT_TRUE(early.next_due_in);
  EXPECT_LE(*early.next_due_in, hours(1));
  EXPECT_GT(*early.next_due_in, minutes(50));
  EXPECT_FALSE(claim({.types = {{"other", 1}}}).next_due_in);
  EXPECT_FALSE(claim({.except = {"t"}}).next_due_in);
  EXPECT_FALSE(claim({.takes_webhooks = true}).next_due_in);
  jobs->pass(hours(1));
  auto one = claim({.limit = 5});
  EXPECT_EQ(one.jobs.size(), 1u);
  EXPECT_GT(one.next_due_in.value(), minutes(50));
  jobs->pass(hours(1));
  auto last = claim({.limit = 5});
  EXPECT_EQ(last.jobs.size(), 1u);
  EXPECT_FALSE(last.next_due_in);
}

TEST_P(JobQueueConformance, WhatALimitLeavesBehindIsDueNow) {
  add_all({{.type = "t"}, {.type = "t"}, {.type = "t"}});
  EXPECT_EQ(claim({.limit = 1}).next_due_in, milliseconds(0));
  EXPECT_EQ(claim({.types = {{"t", 1}}, .limit = 5}).next_due_in, milliseconds(0));
  EXPECT_FALSE(claim({.limit = 5}).next_due_in);
}

TEST_P(JobQueueConformance, AClaimTakesOnlyTheTypesItNamesAndSoManyOfEach) {
  add_all({{.type = "a"}, {.type = "a"}, {.type = "a"}, {.type = "b"}, {.type = "b"}, {.type = "c", .priority = 10}});
  auto claimed = types_of(claim({.types = {{"a", 2}, {"b", 5}, {"none", 3}}, .limit = 10}).jobs);
  std::ranges::sort(claimed);
  EXPECT_EQ(claimed, (std::vector<std::string>{"a", "a", "b", "b"}));
  EXPECT_EQ(types_of(claim({.types = {{"a", 5}, {"c", 0}}, .limit = 10}).jobs), std::vector<std::string>{"a"});
  EXPECT_EQ(types_of(claim_jobs(10)), std::vector<std::string>{"c"});
}

TEST_P(JobQueueConformance, AFullTypeLetsTheOthersThrough) {
  for (int i = 0; i < 20; ++i) add({.type = "full", .priority = 10, .scheduled_for = jobs->now() - hours(1)});
  add("other");
  auto claimed = types_of(claim({.types = {{"full", 2}, {"other", 2}}, .limit = 5}).jobs);
  EXPECT_EQ(claimed, (std::vector<std::string>{"full", "full", "other"}));
}

TEST_P(JobQueueConformance, AClaimOfAnyTypeSparesThoseItExcepts) {
  add_all({{.type = "a", .priority = 9}, {.type = "b", .priority = 8}, {.type = "c"}});
  EXPECT_EQ(types_of(claim({.except = {"a", "b", "none"}, .limit = 10}).jobs), std::vector<std::string>{"c"});
  EXPECT_EQ(types_of(claim({.except = {"c"}, .limit = 10}).jobs), (std::vector<std::string>{"a", "b"}));
}

TEST_P(JobQueueConformance, WebhooksAreClaimedByThemselves) {
  add({.type = "t", .priority = 9, .url = "https://example.org/"});
  add("t");
  add({.type = "other", .url = "https://example.org/other"});
  auto plain = claim({.limit = 10}).jobs;
  ASSERT_EQ(plain.size(), 1u);
  EXPECT_FALSE(plain[0].url);
  EXPECT_TRUE(claim({.types = {{"t", 5}}, .limit = 10}).jobs.empty());
  auto hooks = claim({.limit = 10, .takes_webhooks = true}).jobs;
  ASSERT_EQ(hooks.size(), 2u);
  EXPECT_EQ(hooks[0].url, "https://example.org/");
  EXPECT_EQ(hooks[1].url, "https://example.org/other");
}

TEST_P(JobQueueConformance, APausedTypeWaitsAndHoldsUpNobody) {
  for (int i = 0; i < 20; ++i) add({.type = "paused", .priority = 10});
  add({.type = "paused", .url = "https://example.org/"});
  add("other");
  ASSERT_TRUE(run(admin(1).set_paused("paused", true)));
  auto claimed = claim({.limit = 5});
  EXPECT_EQ(types_of(claimed.jobs), std::vector<std::string>{"other"});
  EXPECT_FALSE(claimed.next_due_in);
  EXPECT_TRUE(claim({.types = {{"paused", 5}}, .limit = 5}).jobs.empty());
  EXPECT_TRUE(claim({.limit = 5, .takes_webhooks = true}).jobs.empty());
  EXPECT_EQ(stats().pending, 21u);
  ASSERT_TRUE(run(admin().set_paused("paused", false)));
  EXPECT_EQ(claim_jobs(50).size(), 20u);
}

TEST_P(JobQueueConformance, ARunningJobOfATypeThatIsPausedMayEnd) {
  add("t");
  auto claimed = claim_one();
  ASSERT_TRUE(run(admin().set_paused("t", true)));
  EXPECT_TRUE(renew(claimed));
  EXPECT_TRUE(end(claimed, Completed{}));
}

TEST_P(JobQueueConformance, ARateLimitHoldsInEveryWindowAndOnAllNodes) {
  ASSERT_TRUE(run(admin().configure({.type = "limited", .rate = TypeSettings::Rate{.count = 6, .window = hours(1)}})));
  add_all(std::vector<JobDraft>(200, {.type = "limited"}));
  std::vector<int> started;  // in each step of six minutes
  for (std::size_t step = 0; step < 60; ++step) {
    // A few claims in some steps, many in others, none for a while: whatever was saved up must not come on top.
    std::size_t wanted = step % 7 == 0 ? 20 : step % 3;
    if (step > 25 && step < 40) wanted = 0;
    started.push_back(wanted == 0 ? 0 : static_cast<int>(claim({.limit = wanted}, step % 2).jobs.size()));
    int in_window = 0;
    for (std::size_t back = 0; back < 10 && back <= step; ++back) in_window += started[step - back];
    EXPECT_LE(in_window, 6) << "step " << step;
    jobs->pass(minutes(6));
  }
  int all = 0;
  for (int count : started) all += count;
  EXPECT_GE(all, 15) << "so many were asked for that at least half of what is allowed must come";
}

TEST_P(JobQueueConformance, ARateLimitAllowsABurstAndSaysWhenTheNextMayStart) {
  ASSERT_TRUE(run(admin().configure({.type = "limited", .rate = TypeSettings::Rate{.count = 4, .window = hours(1)}})));
  add_all(std::vector<JobDraft>(12, {.type = "limited"}));
  auto first = claim({.types = {{"limited", 9}}, .limit = 9});
  EXPECT_EQ(first.jobs.size(), 4u);
  ASSERT_TRUE(first.next_due_in);
  EXPECT_GT(*first.next_due_in, minutes(10)) << "not a moment to spin on";
  EXPECT_LE(*first.next_due_in, minutes(70));
  auto second = claim({.limit = 9});
  EXPECT_TRUE(second.jobs.empty());
  EXPECT_GT(second.next_due_in.value(), minutes(5));
  jobs->pass(minutes(130));
  EXPECT_EQ(claim_jobs(9).size(), 4u) << "all are free again, and no more";
  ASSERT_TRUE(run(admin().configure({.type = "limited"})));
  EXPECT_EQ(claim_jobs(9).size(), 4u) << "no limit any more";
}

TEST_P(JobQueueConformance, ARateLimitedTypeHoldsUpNobody) {
  ASSERT_TRUE(run(admin().configure({.type = "limited", .rate = TypeSettings::Rate{.count = 1, .window = hours(1)}})));
  add_all(std::vector<JobDraft>(30, {.type = "limited", .priority = 10}));
  add_all(std::vector<JobDraft>(3, {.type = "other"}));
  EXPECT_EQ(types_of(claim_jobs(2)), (std::vector<std::string>{"limited", "other"}));
  EXPECT_EQ(types_of(claim_jobs(5)), (std::vector<std::string>{"other", "other"}));
}

TEST_P(JobQueueConformance, ARateLimitHoldsAmongMany) {
  ASSERT_TRUE(run(admin().configure({.type = "limited", .rate = TypeSettings::Rate{.count = 25, .window = hours(1)}})));
  add_all(std::vector<JobDraft>(200, {.type = "limited"}));
  std::atomic<std::size_t> started = 0;
  std::vector<std::jthread> workers;
  for (std::size_t node = 0; node < 8; ++node) {
    workers.emplace_back([&, node] {
      for (int i = 0; i < 10; ++i) started += run(queue(node % 2).claim({.worker = "w", .limit = 3})).value().jobs.size();
    });
  }
  workers.clear();
  EXPECT_EQ(started, 25u);
}

TEST_P(JobQueueConformance, JobsThatManyClaimAtOnceGoToOneEach) {
  constexpr std::size_t kJobs = 400;
  std::vector<JobDraft> drafts;
  for (std::size_t i = 0; i < kJobs; ++i) drafts.push_back({.type = "t" + std::to_string(i % 5), .priority = static_cast<int>(i % 3)});
  add_all(drafts);
  std::atomic<std::size_t> claims = 0;
  std::vector<std::jthread> workers;
  for (std::size_t node = 0; node < 8; ++node) {
    workers.emplace_back([&, node] {
      // A claim may come back empty-handed while another one is at the jobs it looked at.
      while (claims < kJobs) {
        auto claimed = run(queue(node % 2).claim({.worker = "w", .limit = 7}));
        ASSERT_TRUE(claimed) << claimed.error().message;
        claims += claimed->jobs.size();
      }
    });
  }
  workers.clear();
  EXPECT_EQ(claims, kJobs) << "each once";
  EXPECT_EQ(stats().processing, kJobs);
  EXPECT_EQ(jobs->count("SELECT count(DISTINCT lease_token) FROM background_jobs"), static_cast<std::int64_t>(kJobs));
}

}  // namespace hearth::jobs
