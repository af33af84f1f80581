#include "hearth/jobs/scheduler.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/jobs/stores/postgres_jobs_under_test.h"
#include "hearth/jobs/stores/sqlite_jobs_under_test.h"

namespace hearth::jobs {
namespace {

UtcMicros at(const char* time) {
  return parse_rfc3339(time, "time").value();
}

class SchedulerTest : public testing::TestWithParam<JobsMaker> {
 protected:
  static Schedule schedule(std::string name, std::string cron) {
    return {.name = std::move(name), .cron = std::move(cron), .job_type = "t", .payload = R"({"a":1})"};
  }
  Schedule put(Schedule schedule) { return run(scheduler.put(std::move(schedule))).value(); }
  std::string refused_field(Schedule schedule) {
    auto kept = run(scheduler.put(std::move(schedule)));
    return kept ? "" : kept.error().field;
  }
  Schedule kept(const std::string& name) {
    auto all = run(jobs->schedules().list()).value();
    auto found = std::ranges::find(all, name, &Schedule::name);
    return found == all.end() ? Schedule{} : *found;
  }
  std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const Schedule& each : run(jobs->schedules().list()).value()) all.push_back(each.name);
    return all;
  }
  void step_at(const char* time) {
    clock.advance(at(time) - clock.now());
    EXPECT_FALSE(scheduler.step().value());
  }
  // The idempotency keys of the jobs that were made since the last call.
  std::vector<std::string> made() {
    std::vector<std::string> keys;
    for (const ClaimedJob& job : run(jobs->queue().claim({.worker = "w", .limit = kJobsPerClaimMax})).value().jobs) {
      keys.push_back(run(jobs->admin().find(job.id)).value().job.idempotency_key.value_or(""));
    }
    return keys;
  }
  using Keys = std::vector<std::string>;

  std::unique_ptr<JobsUnderTest> jobs = GetParam().make();
  SimulatedClock clock{at("2026-03-10T12:30:00Z")};
  Scheduler scheduler{jobs->schedules(), clock};
};

TEST_P(SchedulerTest, AScheduleRunsWhenItIsDueAndNotBefore) {
  EXPECT_EQ(put(schedule("s", "0 * * * *")).next_run_at, at("2026-03-10T13:00:00Z"));
  step_at("2026-03-10T12:59:59.999999Z");
  EXPECT_EQ(made(), Keys{});
  step_at("2026-03-10T13:00:00Z");
  EXPECT_EQ(made(), Keys{"cron:s:2026-03-10T13:00:00.000Z"});
  EXPECT_EQ(kept("s").last_run_at, at("2026-03-10T13:00:00Z"));
  EXPECT_EQ(kept("s").next_run_at, at("2026-03-10T14:00:00Z"));
  step_at("2026-03-10T13:00:01Z");
  EXPECT_EQ(made(), Keys{});
  step_at("2026-03-10T14:00:40Z");
  EXPECT_EQ(made(), Keys{"cron:s:2026-03-10T14:00:00.000Z"});
}

TEST_P(SchedulerTest, ItRunsByTheClocksOfItsTimeZone) {
  Schedule berlin = schedule("s", "30 2 * * *");
  berlin.time_zone = "Europe/Berlin";
  clock.advance(at("2026-03-28T12:00:00Z") - clock.now());
  EXPECT_EQ(put(berlin).next_run_at, at("2026-03-29T01:00:00Z")) << "02:30 does not come";
  step_at("2026-03-29T01:00:00Z");
  EXPECT_EQ(kept("s").next_run_at, at("2026-03-30T00:30:00Z"));
}

TEST_P(SchedulerTest, OfWhatWasMissedTheLastRunsOnce) {
  put(schedule("s", "*/10 * * * *"));
  step_at("2026-03-12T08:07:00Z");
  EXPECT_EQ(made(), Keys{"cron:s:2026-03-12T08:00:00.000Z"});
  EXPECT_EQ(kept("s").last_run_at, at("2026-03-12T08:00:00Z"));
  EXPECT_EQ(kept("s").next_run_at, at("2026-03-12T08:10:00Z"));
}

TEST_P(SchedulerTest, WhatWasMissedIsSkippedWhereThatIsWanted) {
  Schedule skips = schedule("s", "*/10 * * * *");
  skips.catch_up = CatchUp::kSkip;
  put(skips);
  step_at("2026-03-12T08:07:00Z");
  EXPECT_EQ(made(), Keys{});
  EXPECT_FALSE(kept("s").last_run_at);
  EXPECT_EQ(kept("s").next_run_at, at("2026-03-12T08:10:00Z"));
  step_at("2026-03-12T08:11:00Z");
  EXPECT_EQ(made(), Keys{"cron:s:2026-03-12T08:10:00.000Z"}) << "a minute late is on time";
  step_at("2026-03-12T08:40:30Z");
  EXPECT_EQ(made(), Keys{"cron:s:2026-03-12T08:40:00.000Z"}) << "and so is the last of those that were missed";
  step_at("2026-03-12T08:51:00.000001Z");
  EXPECT_EQ(made(), Keys{});
}

TEST_P(SchedulerTest, YearsAwayAreCaughtUpAtOnce) {
  const char* crons[] = {"* * * * *", "59 23 31 12 *", "0 0 29 2 *", "* * 1 1 *", "0 9 * * mon"};
  const char* last[] = {"2061-07-15T08:30:00.000Z", "2060-12-31T23:59:00.000Z", "2060-02-29T00:00:00.000Z", "2061-01-01T23:59:00.000Z",
                        "2061-07-11T09:00:00.000Z"};
  for (int i = 0; i < 5; ++i) put(schedule("s" + std::to_string(i), crons[i]));
  step_at("2061-07-15T08:30:30Z");
  made();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(to_rfc3339(kept("s" + std::to_string(i)).last_run_at.value()), last[i]) << crons[i];
}

TEST_P(SchedulerTest, SeveralNodesRunEachMomentOnce) {
  constexpr std::size_t kNodes = 4;
  constexpr int kMinutes = 20;
  for (int i = 0; i < 5; ++i) put(schedule("s" + std::to_string(i), "* * * * *"));
  std::vector<std::unique_ptr<Scheduler>> nodes;
  for (std::size_t i = 0; i < kNodes; ++i) nodes.push_back(std::make_unique<Scheduler>(jobs->schedules(i % 2), clock));
  std::size_t all = 0;
  for (int minute = 1; minute <= kMinutes; ++minute) {
    clock.advance(minutes(1));
    {
      std::vector<std::jthread> threads;
      for (auto& node : nodes) threads.emplace_back([&] { EXPECT_TRUE(node->step()); });
    }
    auto keys = made();
    EXPECT_EQ(keys.size(), 5u);
    all += keys.size();
  }
  EXPECT_EQ(all, 5u * kMinutes);
}

TEST_P(SchedulerTest, OneThatCannotRunKeepsNoOtherFromRunning) {
  put(schedule("a", "0 * * * *"));
  Schedule refused = schedule("b", "0 * * * *");
  refused.job_type = "refused";
  put(refused);
  put(schedule("c", "0 * * * *"));
  jobs->refuse("refused");
  clock.advance(hours(1));
  auto done = scheduler.step();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("schedule b: "), std::string::npos) << done.error().message;
  EXPECT_EQ(made(), (Keys{"cron:a:2026-03-10T13:00:00.000Z", "cron:c:2026-03-10T13:00:00.000Z"}));
}

TEST_P(SchedulerTest, OneThatCannotBeReadDoesNotRunAndIsLookedAtAgainLater) {
  Schedule unreadable = schedule("a", "every day");
  unreadable.next_run_at = clock.now();
  ASSERT_TRUE(run(jobs->schedules().put(unreadable)));
  Schedule nowhere = schedule("b", "0 * * * *");
  nowhere.time_zone = "Europe/Atlantis";
  nowhere.next_run_at = clock.now();
  ASSERT_TRUE(run(jobs->schedules().put(nowhere)));
  EXPECT_FALSE(scheduler.step().value());
  EXPECT_EQ(made(), Keys{});
  for (const char* name : {"a", "b"}) EXPECT_EQ(kept(name).next_run_at, clock.now() + hours(1));
}

TEST_P(SchedulerTest, WhatDoesNotFitIsRefusedByField) {
  EXPECT_EQ(refused_field(schedule("", "* * * * *")), "name");
  EXPECT_EQ(refused_field(schedule("a b", "* * * * *")), "name");
  EXPECT_EQ(refused_field(schedule("a", "* * * *")), "cron");
  Schedule wrong = schedule("a", "* * * * *");
  wrong.time_zone = "Mars/Base";
  EXPECT_EQ(refused_field(wrong), "timeZone");
  wrong = schedule("a", "* * * * *");
  wrong.job_type = "no type";
  EXPECT_EQ(refused_field(wrong), "jobType");
  for (std::string payload : {"", "[]", "7", "{", R"({"a":1} {})", R"({"a":)"}) {
    wrong = schedule("a", "* * * * *");
    wrong.payload = payload;
    EXPECT_EQ(refused_field(wrong), "payload") << payload;
  }
  wrong.payload = "{\"a\":\"" + std::string(kPayloadBytesMax, 'x') + "\"}";
  EXPECT_EQ(refused_field(wrong), "payload");
  wrong = schedule("a", "* * * * *");
  wrong.job_type = kWebhookType;
  EXPECT_EQ(refused_field(wrong), "payload.url");
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_P(SchedulerTest, PuttingAgainKeepsWhatRan) {
  put(schedule("s", "0 * * * *"));
  step_at("2026-03-10T13:00:00Z");
  Schedule again = schedule("s", "0 * * * *");
  again.payload = "{}";
  EXPECT_EQ(put(again).last_run_at, at("2026-03-10T13:00:00Z"));
  EXPECT_EQ(put(schedule("s", "30 * * * *")).next_run_at, at("2026-03-10T13:30:00Z"));
}

// --- the configuration ---

TEST_P(SchedulerTest, TheConfiguredSchedulesAreExactlyThoseOfTheConfiguration) {
  put(schedule("by_api", "0 * * * *"));
  ASSERT_TRUE(run(scheduler.configure({schedule("kept", "0 * * * *"), schedule("changed", "0 * * * *"), schedule("gone", "0 * * * *")})));
  step_at("2026-03-10T13:00:00Z");
  made();
  clock.advance(minutes(10));
  Schedule changed = schedule("changed", "15 * * * *");
  ASSERT_TRUE(run(scheduler.configure({schedule("kept", "0 * * * *"), changed, schedule("new", "0 * * * *")})));
  EXPECT_EQ(names(), (std::vector<std::string>{"by_api", "changed", "kept", "new"}));
  EXPECT_FALSE(kept("by_api").is_configured);
  EXPECT_TRUE(kept("new").is_configured);
  EXPECT_EQ(kept("kept").last_run_at, at("2026-03-10T13:00:00Z"));
  EXPECT_EQ(kept("changed").next_run_at, at("2026-03-10T13:15:00Z"));
  EXPECT_FALSE(kept("new").last_run_at);
}

TEST_P(SchedulerTest, WhatWasMissedWhileHearthWasDownIsCaughtUpAfterItsStart) {
  ASSERT_TRUE(run(scheduler.configure({schedule("s", "0 3 * * *")})));
  clock.advance(hours(48));
  ASSERT_TRUE(run(scheduler.configure({schedule("s", "0 3 * * *")})));
  EXPECT_FALSE(scheduler.step().value());
  EXPECT_EQ(made(), Keys{"cron:s:2026-03-12T03:00:00.000Z"});
}

TEST_P(SchedulerTest, AConfigurationThatCannotBeKeptChangesNothing) {
  ASSERT_TRUE(run(scheduler.configure({schedule("old", "0 * * * *")})));
  EXPECT_FALSE(run(scheduler.configure({schedule("new", "0 * * * *"), schedule("new", "30 * * * *")})));
  EXPECT_FALSE(run(scheduler.configure({schedule("new", "0 * * * *"), schedule("wrong", "0 * *")})));
  EXPECT_EQ(names(), std::vector<std::string>{"old"});
}

TEST(ParseSchedule, ReadsWhatTheConfigurationHas) {
  auto full = parse_schedule(R"(nightly | 30 2 * * mon-fri | Europe/Berlin | cleanup_expired | {"olderThanDays":30} | skip)");
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->name, "nightly");
  EXPECT_EQ(full->cron, "30 2 * * mon-fri");
  EXPECT_EQ(full->time_zone, "Europe/Berlin");
  EXPECT_EQ(full->job_type, "cleanup_expired");
  EXPECT_EQ(full->payload, R"({"olderThanDays":30})");
  EXPECT_EQ(full->catch_up, CatchUp::kSkip);
  EXPECT_TRUE(full->is_configured);
  const struct {
    const char* text;
    const char* payload;
    CatchUp catch_up;
  } cases[] = {
      {"a|* * * * *|UTC|t", "{}", CatchUp::kOnce},
      {"a|* * * * *|UTC|t|", "{}", CatchUp::kOnce},
      {"a|* * * * *|UTC|t|{}", "{}", CatchUp::kOnce},
      {"a|* * * * *|UTC|t|{}|once", "{}", CatchUp::kOnce},
      {"a|* * * * *|UTC|t||skip", "{}", CatchUp::kSkip},
      {"a|* * * * *|UTC|t|skip", "{}", CatchUp::kSkip},
      {R"(a|* * * * *|UTC|t|{"a":"x | skip"})", R"({"a":"x | skip"})", CatchUp::kOnce},
      {R"(a|* * * * *|UTC|t| {"a|b":1} | skip )", R"({"a|b":1})", CatchUp::kSkip},
  };
  for (const auto& [text, payload, catch_up] : cases) {
    auto schedule = parse_schedule(text);
    ASSERT_TRUE(schedule) << text << ": " << schedule.error().message;
    EXPECT_EQ(schedule->payload, payload) << text;
    EXPECT_EQ(schedule->catch_up, catch_up) << text;
  }
}

TEST(ParseSchedule, RefusesTheRestByField) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "schedules"},
      {"a | * * * * * | UTC", "schedules"},
      {" | * * * * * | UTC | t", "name"},
      {"a | * * * * | UTC | t", "cron"},
      {"a | * * * * * | | t", "timeZone"},
      {"a | * * * * * | UTC | ", "jobType"},
      {"a | * * * * * | UTC | t | [1]", "payload"},
      {"a | * * * * * | UTC | t | {} | twice", "payload"},
      {"a | * * * * * | UTC | webhook | {}", "payload.url"},
  };
  for (const auto& [text, field] : cases) {
    auto schedule = parse_schedule(text);
    ASSERT_FALSE(schedule) << text;
    EXPECT_EQ(schedule.error().field, field) << text << ": " << schedule.error().message;
  }
}

const JobsMaker kSqlite{"sqlite", [] { return std::make_unique<SqliteJobsUnderTest>(); }};
const JobsMaker kPostgres{"postgres", [] { return std::make_unique<PostgresJobsUnderTest>(); }};

INSTANTIATE_TEST_SUITE_P(Databases, SchedulerTest, testing::Values(kSqlite, kPostgres), name_of_maker);

}  // namespace
}  // namespace hearth::jobs
