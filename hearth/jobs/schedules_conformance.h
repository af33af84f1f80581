#pragma once

// What every Schedules promises (schedules.h), as tests.

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "hearth/jobs/jobs_under_test.h"

namespace hearth::jobs {

inline constexpr UtcMicros kNoon{seconds(1'767'268'800)};  // 2026-01-01T12:00:00Z

class SchedulesConformance : public JobsConformance {
 protected:
  Schedules& schedules(std::size_t node = 0) { return jobs->schedules(node); }
  Schedule put(Schedule schedule) { return run(schedules().put(std::move(schedule))).value(); }
  static Schedule hourly(std::string name) {
    return {.name = std::move(name), .cron = "0 * * * *", .job_type = "t", .payload = R"({"a":1})", .next_run_at = kNoon};
  }
  std::vector<Schedule> due(UtcMicros now, std::size_t limit = 100) { return run(schedules().due(now, limit)).value(); }
  std::vector<Schedule> list() { return run(schedules().list()).value(); }
};

inline void expect_same(const Schedule& a, const Schedule& b) {
  EXPECT_EQ(std::tuple(a.name, a.cron, a.time_zone, a.job_type, without_spaces(a.payload), a.catch_up, a.is_configured, a.last_run_at,
                       a.next_run_at),
            std::tuple(b.name, b.cron, b.time_zone, b.job_type, without_spaces(b.payload), b.catch_up, b.is_configured, b.last_run_at,
                       b.next_run_at));
}

TEST_P(SchedulesConformance, AScheduleIsKeptAsItWasPut) {
  EXPECT_TRUE(list().empty());
  Schedule full{.name = "b",
                .cron = "*/5 9 * * 1",
                .time_zone = "Europe/Madrid",
                .job_type = "t",
                .payload = R"({"a":1})",
                .catch_up = CatchUp::kSkip,
                .is_configured = true,
                .next_run_at = kNoon + seconds(7)};
  expect_same(put(full), full);
  put(hourly("a"));
  jobs->restart();
  auto kept = list();
  ASSERT_EQ(kept.size(), 2u);
  expect_same(kept[0], hourly("a"));
  expect_same(kept[1], full);
}

TEST_P(SchedulesConformance, WhatIsPutAgainKeepsItsNextRunUnlessItsTimesChanged) {
  put(hourly("s"));
  ASSERT_TRUE(run(schedules().advance(hourly("s"), kNoon + hours(1), true)).value());
  Schedule again = hourly("s");
  again.payload = R"({"b":2})";
  again.job_type = "other";
  again.next_run_at = kNoon + hours(9);
  Schedule kept = put(again);
  EXPECT_EQ(kept.next_run_at, kNoon + hours(1));
  EXPECT_EQ(kept.last_run_at, kNoon);
  EXPECT_EQ(kept.job_type, "other");
  again.time_zone = "Asia/Tokyo";
  kept = put(again);
  EXPECT_EQ(kept.next_run_at, kNoon + hours(9));
  EXPECT_EQ(kept.last_run_at, kNoon);
  again.cron = "1 * * * *";
  again.next_run_at = kNoon + hours(3);
  EXPECT_EQ(put(again).next_run_at, kNoon + hours(3));
  ASSERT_EQ(list().size(), 1u);
  expect_same(list()[0], put(again));
}

TEST_P(SchedulesConformance, ARemovedScheduleIsGone) {
  put(hourly("s"));
  EXPECT_TRUE(run(schedules().remove("s")));
  EXPECT_EQ(refusal(run(schedules().remove("s"))), ErrorCode::kNotFound);
  EXPECT_TRUE(due(kNoon).empty());
  EXPECT_FALSE(run(schedules().advance(hourly("s"), kNoon + hours(1), true)).value());
  EXPECT_TRUE(claim_jobs(1).empty());
}

TEST_P(SchedulesConformance, DueAreThoseWhoseTimeHasCome) {
  for (int i = 0; i < 5; ++i) {
    Schedule schedule = hourly("s" + std::to_string(i));
    schedule.next_run_at += minutes(i);
    put(schedule);
  }
  EXPECT_TRUE(due(kNoon - seconds(1)).empty());
  EXPECT_EQ(due(kNoon).size(), 1u);
  EXPECT_EQ(due(kNoon + minutes(2)).size(), 3u);
  EXPECT_EQ(due(kNoon + hours(2)).size(), 5u);
  EXPECT_EQ(due(kNoon + hours(2), 2).size(), 2u);
  expect_same(due(kNoon).at(0), hourly("s0"));
}

TEST_P(SchedulesConformance, ARunEnqueuesItsJobAndMovesOn) {
  put(hourly("s"));
  auto seen = jobs->signal().count();
  EXPECT_TRUE(run(schedules().advance(due(kNoon).at(0), kNoon + hours(1), true)).value());
  EXPECT_GT(jobs->signal().wait(seen, seconds(20)), seen);
  auto claimed = claim_jobs(5);
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].type, "t");
  EXPECT_EQ(without_spaces(claimed[0].payload), R"({"a":1})");
  EXPECT_TRUE(find(claimed[0].id).idempotency_key.value().starts_with("cron:s:"));
  Schedule moved = list().at(0);
  EXPECT_EQ(moved.next_run_at, kNoon + hours(1));
  EXPECT_EQ(moved.last_run_at, kNoon);
  EXPECT_TRUE(run(schedules().advance(moved, kNoon + hours(2), true)).value());
  EXPECT_EQ(claim_jobs(5).size(), 1u) << "another moment, another job";
}

TEST_P(SchedulesConformance, AWebhookIsPostedToTheUrlOfItsPayload) {
  put({.name = "s",
       .cron = "0 * * * *",
       .job_type = std::string(kWebhookType),
       .payload = R"({"url":"https://example.org/hook"})",
       .next_run_at = kNoon});
  EXPECT_TRUE(run(schedules().advance(due(kNoon).at(0), kNoon + hours(1), true)).value());
  auto claimed = claim({.limit = 5, .takes_webhooks = true}).jobs;
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].url, "https://example.org/hook");
}

TEST_P(SchedulesConformance, ASkippedRunMovesOnWithoutAJob) {
  put(hourly("s"));
  EXPECT_TRUE(run(schedules().advance(hourly("s"), kNoon + hours(5), false)).value());
  EXPECT_TRUE(claim_jobs(1).empty());
  EXPECT_EQ(list().at(0).next_run_at, kNoon + hours(5));
  EXPECT_FALSE(list().at(0).last_run_at);
}

TEST_P(SchedulesConformance, ARunIsMadeOnceHoweverManyNodesTry) {
  put(hourly("s"));
  Schedule found = due(kNoon).at(0);
  std::atomic<int> won = 0;
  std::vector<std::jthread> nodes;
  for (std::size_t i = 0; i < 16; ++i) {
    nodes.emplace_back([&, i] {
      auto done = run(schedules(i % 2).advance(found, kNoon + hours(1), true));
      ASSERT_TRUE(done) << done.error().message;
      if (*done) ++won;
    });
  }
  nodes.clear();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(claim_jobs(50).size(), 1u);
}

TEST_P(SchedulesConformance, AScheduleThatWasChangedMeanwhileDoesNotRunAsItWas) {
  put(hourly("times"));
  put(hourly("payload"));
  Schedule times = hourly("times");
  times.cron = "30 * * * *";
  times.next_run_at = kNoon + minutes(30);
  put(times);
  Schedule payload = hourly("payload");
  payload.payload = R"({"new":1})";
  put(payload);
  EXPECT_FALSE(run(schedules().advance(hourly("times"), kNoon + hours(1), true)).value());
  EXPECT_TRUE(claim_jobs(1).empty());
  if (run(schedules().advance(hourly("payload"), kNoon + hours(1), true)).value()) {
    EXPECT_EQ(without_spaces(claim_one().payload), R"({"new":1})");
  }
  EXPECT_TRUE(claim_jobs(1).empty());
}

TEST_P(SchedulesConformance, ARunWhoseJobCannotBeKeptIsNotMade) {
  jobs->refuse("t");
  put(hourly("s"));
  EXPECT_FALSE(run(schedules().advance(hourly("s"), kNoon + hours(1), true)));
  expect_same(list().at(0), hourly("s"));
}

TEST_P(SchedulesConformance, SoManySchedulesAndNoMore) {
  for (std::size_t i = 0; i < kSchedulesMax; ++i) put(hourly("s" + std::to_string(i)));
  EXPECT_EQ(refusal(run(schedules().put(hourly("more")))), ErrorCode::kTooLarge);
  EXPECT_TRUE(run(schedules().put(hourly("s7"))));
  EXPECT_EQ(list().size(), kSchedulesMax);
}

}  // namespace hearth::jobs
