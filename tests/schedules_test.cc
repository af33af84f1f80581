// Schedules of the executable: each moment runs once, however many nodes there are and whatever becomes of them.
//
// No test waits for the clock: its schedules run on the last day of February in leap years, unless the moment when they run
// next is moved in SQL.

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/value.hpp>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/job_nodes.h"
#include "tests/support/json_check.h"

namespace hearth::tests {
namespace {

using redis::eventually;

constexpr std::int64_t kMinute = 60'000'000;

class ScheduledJobs : public testing::TestWithParam<SqlKind> {
 protected:
  ScheduledJobs() {
    nodes.add();
    if (GetParam() == SqlKind::kPostgres) nodes.add();
  }
  void TearDown() override {
    if (HasFailure()) std::cout << nodes.errors();
  }

  boost::json::value put(const std::string& name, const std::string& catch_up = "once", const std::string& cron = "0 0 29 2 *") {
    auto body = R"({"cron":")" + cron + R"(","jobType":"report","payload":{"of":")" + name + R"("},"catchUp":")" + catch_up + "\"}";
    return expect_answer(200, nodes.client().call("PUT", "/api/admin/schedules/" + name, body));
  }
  boost::json::value get(const std::string& name, std::size_t node = 0) {
    auto all = expect_answer(200, nodes.client(node).get("/api/admin/schedules"));
    for (const auto& schedule : all.at("schedules").as_array()) {
      if (text_of(schedule, "name") == name) return schedule;
    }
    throw std::runtime_error("there is no schedule " + name);
  }

  // The last full minute.
  std::int64_t last_minute() const { return tables.now() / kMinute * kMinute; }
  // Makes these run next at that moment.
  void make_due(const std::string& names, std::int64_t moment) {
    ASSERT_GT(tables.change("UPDATE schedules SET next_run_at = " + tables.time(moment) + " WHERE name LIKE '" + names + "'"), 0u);
  }
  // Whether all of these wait for a moment that is to come.
  bool are_waiting(const std::string& names) const {
    return tables.number("SELECT count(*) FROM schedules WHERE name LIKE '" + names +
                         "' AND next_run_at <= " + tables.time(tables.now())) == 0;
  }
  std::int64_t jobs_of(const std::string& names) const {
    return tables.number("SELECT count(*) FROM background_jobs WHERE job_type = 'report' AND idempotency_key LIKE 'cron:" + names + ":%'");
  }
  std::int64_t runs_at(const std::string& names, std::int64_t moment) const {
    return tables.number("SELECT count(*) FROM schedules WHERE name LIKE '" + names + "' AND last_run_at = " + tables.time(moment));
  }

  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
  JobNodes nodes{GetParam(), {"--jobs.schedules=configured | 0 0 29 2 * | UTC | recompute_rankings | {} | skip"}};
  const JobTables tables = nodes.tables();
};

TEST_P(ScheduledJobs, AMomentRunsOnceHoweverManyNodesSeeIt) {
  constexpr std::int64_t kSchedules = 12;
  for (std::int64_t i = 0; i < kSchedules; ++i) put("each-" + std::to_string(i));
  auto moment = last_minute();
  make_due("each-%", moment);
  ASSERT_TRUE(eventually([&] { return runs_at("each-%", moment) == kSchedules; }));
  EXPECT_EQ(jobs_of("each-%"), kSchedules);
  EXPECT_EQ(tables.number("SELECT count(DISTINCT idempotency_key) FROM background_jobs"), kSchedules);
  EXPECT_TRUE(are_waiting("each-%"));

  // Somebody sets the clock back: the moment has run.
  make_due("each-%", moment);
  ASSERT_TRUE(eventually([&] { return are_waiting("each-%"); }));
  EXPECT_EQ(jobs_of("each-%"), kSchedules);
}

TEST_P(ScheduledJobs, WhatWasMissedRunsOnceOrNotAtAll) {
  put("caught-up", "once");
  put("skipped", "skip");
  make_due("caught-up", last_minute() - 10 * kMinute);
  make_due("skipped", last_minute() - 10 * kMinute);
  ASSERT_TRUE(eventually([&] { return are_waiting("caught-up") && are_waiting("skipped"); }));
  EXPECT_EQ(jobs_of("caught-up"), 1);
  EXPECT_EQ(jobs_of("skipped"), 0);
  EXPECT_FALSE(get("skipped").as_object().contains("lastRunAt"));
  EXPECT_TRUE(get("caught-up").as_object().contains("lastRunAt"));

  // What comes in time runs either way.
  make_due("skipped", tables.now() + 200'000);
  ASSERT_TRUE(eventually([&] { return jobs_of("skipped") == 1; }));
}

TEST_P(ScheduledJobs, AllOfAScheduleSurvivesAKillAndWhatWasMissedMeanwhileIsCaughtUp) {
  put("caught-up", "once", "*/7 4 * * 1-5");
  put("skipped", "skip", "*/7 4 * * 1-5");
  make_due("caught-up", last_minute());
  ASSERT_TRUE(eventually([&] { return are_waiting("caught-up"); }));
  auto before = get("caught-up");
  EXPECT_EQ(find_mismatch(
                R"({"name": "caught-up", "cron": "*/7 4 * * 1-5", "timeZone": "UTC", "jobType": "report", "payload": {"of": "caught-up"},
                              "catchUp": "once", "isConfigured": false, "lastRunAt": "<time>", "nextRunAt": "<time>"})",
                before),
            "");
  for (std::size_t i = 0; i < nodes.size(); ++i) nodes.kill(i);
  for (std::size_t i = 0; i < nodes.size(); ++i) nodes.start(i);
  for (std::size_t i = 0; i < nodes.size(); ++i) EXPECT_EQ(get("caught-up", i), before);

  for (std::size_t i = 0; i < nodes.size(); ++i) nodes.kill(i);
  make_due("caught-up", last_minute() - 100 * 24 * 60 * kMinute);
  make_due("skipped", last_minute() - 100 * 24 * 60 * kMinute);
  for (std::size_t i = 0; i < nodes.size(); ++i) nodes.start(i);
  ASSERT_TRUE(eventually([&] { return are_waiting("caught-up") && are_waiting("skipped"); }));
  EXPECT_EQ(jobs_of("caught-up"), 2);
  EXPECT_EQ(jobs_of("skipped"), 0);
}

TEST_P(ScheduledJobs, AKillAtAnyMomentNeitherLosesARunNorDoublesIt) {
  constexpr int kRounds = 6;
  constexpr std::int64_t kSchedules = 8;
  for (int round = 0; round < kRounds && !HasFatalFailure(); ++round) {
    auto names = "round-" + std::to_string(round) + "-";
    for (std::int64_t i = 0; i < kSchedules; ++i) put(names + std::to_string(i));
    auto moment = last_minute();
    make_due(names + "%", moment);
    usleep(static_cast<useconds_t>(random() % 100'000));  // any moment will do
    auto node = random() % nodes.size();
    nodes.kill(node);
    nodes.start(node);
    ASSERT_TRUE(eventually([&] { return are_waiting(names + "%"); }));
    EXPECT_EQ(runs_at(names + "%", moment), kSchedules);
    EXPECT_EQ(jobs_of(names + "%"), kSchedules);
  }
}

TEST_P(ScheduledJobs, WhatTheConfigurationSchedulesIsDoneByTheNodes) {
  EXPECT_EQ(get("configured").at("isConfigured").as_bool(), true);
  make_due("configured", tables.now() + 200'000);
  ASSERT_TRUE(eventually([&] {
    return tables.number("SELECT count(*) FROM job_history WHERE job_type = 'recompute_rankings' AND status = 'completed'") == 1;
  }));
  EXPECT_TRUE(eventually([&] { return get("configured").as_object().contains("lastRunAt"); }));
}

INSTANTIATE_TEST_SUITE_P(, ScheduledJobs, testing::Values(SqlKind::kSqlite, SqlKind::kPostgres),
                         [](const auto& info) { return info.param == SqlKind::kSqlite ? "sqlite" : "postgres"; });

}  // namespace
}  // namespace hearth::tests
