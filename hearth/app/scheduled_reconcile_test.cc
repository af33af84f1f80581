#include "hearth/app/scheduled_reconcile.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "hearth/app/wiring.h"
#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::app {
namespace {

class ScheduledReconcileTest : public testing::Test {
 protected:
  ScheduledReconcileTest() {
    log::configure(log::Level::kOff, log::Format::kLogfmt);  // the drift is meant
    config.data = folder.path() / "data";
    config.flush.interval = std::chrono::milliseconds(10);
    config.reconcile.cron = "0 */6 * * *";
    config.reconcile.drift_threshold = 1;
    hearth = Hearth::open(config, clock).value();
    for (const char* post : {"p", "q", "r"}) {
      EXPECT_TRUE(run_to_end(hearth->likes.change({.post = PostId::trusted(post), .session = SessionId::trusted("ada")})));
    }
    EXPECT_TRUE(run_to_end(hearth->live->flush()));
  }
  ~ScheduledReconcileTest() override { hearth->stop(); }

  ScheduledReconcile make() {
    return ScheduledReconcile(hearth->reconciler, [this] { return hearth->live->flush(); }, config.reconcile, clock);
  }
  // What another program does to ratings.db.
  void spoil(const std::string& posts) {
    auto connection = sqlite::Connection::open({.path = config.data / "ratings.db"}).value();
    ASSERT_TRUE(
        connection.transaction([&] { connection.execute(("UPDATE post_counts SET likes = 9 WHERE post_id IN (" + posts + ")").c_str()); }));
  }
  std::uint32_t in_sql(const std::string& post) { return hearth->sql->ledger().heads_blocking({post}).value().front().likes; }

  sqlite::TemporaryFolder folder;
  SimulatedClock clock{parse_rfc3339("2026-11-21T02:13:00Z", "now").value()};
  Config config;
  std::unique_ptr<Hearth> hearth;
};

TEST_F(ScheduledReconcileTest, NothingIsDoneBeforeTheMomentHasCome) {
  auto scheduled = make();
  spoil("'p'");
  clock.advance(std::chrono::hours(3));
  EXPECT_EQ(scheduled.run_when_due().value(), false);
  EXPECT_EQ(in_sql("p"), 9u);
  clock.advance(std::chrono::hours(1));  // 06:13
  EXPECT_EQ(scheduled.run_when_due().value(), false);
  EXPECT_EQ(in_sql("p"), 1u);
  EXPECT_EQ(scheduled.stats().found, 1u);
  EXPECT_EQ(scheduled.stats().repaired, 1u);
  EXPECT_EQ(scheduled.stats().last, 1u);
  EXPECT_FALSE(scheduled.stats().is_last_over_threshold);

  spoil("'q'");
  EXPECT_EQ(scheduled.run_when_due().value(), false);
  EXPECT_EQ(in_sql("q"), 9u) << "the next moment is 12:00";
}

TEST_F(ScheduledReconcileTest, MoreDriftThanTheThresholdIsSaidOfTheLastRun) {
  auto scheduled = make();
  spoil("'p', 'q', 'r'");
  ASSERT_TRUE(scheduled.run());
  EXPECT_EQ(scheduled.stats().last, 3u);
  EXPECT_TRUE(scheduled.stats().is_last_over_threshold);
  ASSERT_TRUE(scheduled.run());
  EXPECT_EQ(scheduled.stats().last, 0u);
  EXPECT_FALSE(scheduled.stats().is_last_over_threshold);
  EXPECT_EQ(scheduled.stats().found, 3u);
}

// A second passes with every look.
class TickingClock final : public Clock {
 public:
  UtcMicros now() const override { return {}; }
  std::chrono::steady_clock::time_point steady() const override {
    return std::chrono::steady_clock::time_point(std::chrono::seconds(++ticks_));
  }

 private:
  mutable std::atomic<int> ticks_{0};
};

TEST_F(ScheduledReconcileTest, ARunGoesOnWhereTheLastOneStopped) {
  TickingClock ticking;
  config.reconcile.budget = std::chrono::seconds(2);  // for one page
  ScheduledReconcile scheduled(hearth->reconciler, [this] { return hearth->live->flush(); }, config.reconcile, ticking);
  ASSERT_TRUE(scheduled.run());  // all three posts of SQL
  spoil("'p'");
  ASSERT_TRUE(scheduled.run());  // what only the live store knows
  EXPECT_EQ(in_sql("p"), 9u);
  ASSERT_TRUE(scheduled.run());  // from the beginning
  EXPECT_EQ(in_sql("p"), 1u);
}

TEST_F(ScheduledReconcileTest, ARunWithoutTimeLeavesAllForTheNext) {
  config.reconcile.budget = std::chrono::seconds(0);
  auto scheduled = make();
  spoil("'p'");
  ASSERT_TRUE(scheduled.run());
  EXPECT_EQ(in_sql("p"), 9u);
}

TEST_F(ScheduledReconcileTest, AStopEndsARunEarly) {
  auto scheduled = make();
  spoil("'p'");
  scheduled.stop();
  ASSERT_TRUE(scheduled.run());
  EXPECT_EQ(in_sql("p"), 9u);
}

}  // namespace
}  // namespace hearth::app
