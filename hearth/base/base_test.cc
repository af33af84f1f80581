#include <gtest/gtest.h>

#include <semaphore>
#include <string>
#include <vector>

#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/base/hash.h"
#include "hearth/base/ids.h"
#include "hearth/base/log.h"

namespace hearth {
namespace {

using namespace std::chrono_literals;

TEST(Ids, TakesPrintableAsciiAndNothingElse) {
  for (std::string_view good : {"1", "post-1", "0b9f2f8e-1111-4222-8333-444455556666", "a:b/c?d#e%f&g~!", "<>'[]()|^`"}) {
    EXPECT_TRUE(is_valid_id(good)) << good;
  }
  EXPECT_TRUE(is_valid_id(std::string(kIdBytesMax, 'x')));
  EXPECT_FALSE(is_valid_id(std::string(kIdBytesMax + 1, 'x')));
  EXPECT_FALSE(is_valid_id(""));
  const std::string allowed_marks = "!#$%&'()*+,-./:;<=>?@[]^_`|~";
  for (int c = 0; c < 256; ++c) {
    bool letter_or_digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    bool wanted = letter_or_digit || (c != 0 && allowed_marks.find(static_cast<char>(c)) != std::string::npos);
    EXPECT_EQ(is_valid_id(std::string(1, static_cast<char>(c))), wanted) << c;
  }
}

TEST(Ids, ABadOneNamesItsField) {
  auto post = PostId::parse("two words", "postId");
  ASSERT_FALSE(post);
  EXPECT_EQ(post.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(post.error().field, "postId");
  EXPECT_TRUE(post.error().message.starts_with("postId must be ")) << post.error().message;
  EXPECT_EQ(PostId::parse("p1", "postId")->view(), "p1");
}

struct TimeCase {
  std::string text;
  std::string in_utc;  // empty: refused
};

TEST(Clock, ReadsEveryFormOfRfc3339) {
  const std::vector<TimeCase> cases = {
      {"2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"},
      {"2026-01-31t12:00:00.5z", "2026-01-31T12:00:00.500Z"},
      {"2026-01-31 12:00:00.123456789Z", "2026-01-31T12:00:00.123Z"},
      {"2026-01-31T01:30:00+02:00", "2026-01-30T23:30:00.000Z"},
      {"2026-12-31T23:30:00-00:45", "2027-01-01T00:15:00.000Z"},
      {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"},
      {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
      {"2026-02-29T00:00:00Z", ""},
      {"2026-13-01T00:00:00Z", ""},
      {"2026-01-31T24:00:00Z", ""},
      {"2026-01-31T12:60:00Z", ""},
      {"2026-01-31T12:00:60Z", ""},
      {"2026-01-31T12:00:00", ""},
      {"2026-01-31T12:00:00.Z", ""},
      {"2026-01-31T12:00:00+0200", ""},
      {"2026-01-31T12:00:00+24:00", ""},
      {"2026-01-31T12:00:00Zx", ""},
      {"2026-1-31T12:00:00Z", ""},
      {"+026-01-31T12:00:00Z", ""},
      {"", ""},
      {"now", ""},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.text);
    auto time = parse_rfc3339(test.text, "createdAt");
    if (test.in_utc.empty()) {
      ASSERT_FALSE(time);
      EXPECT_EQ(time.error().field, "createdAt");
    } else {
      ASSERT_TRUE(time);
      EXPECT_EQ(to_rfc3339(*time), test.in_utc);
    }
  }
}

TEST(Clock, ASimulatedOneMovesOnlyWhenTold) {
  SimulatedClock clock;
  auto start = clock.now();
  auto steady = clock.steady();
  EXPECT_EQ(clock.now(), start);
  clock.advance(250ms);
  EXPECT_EQ(clock.now() - start, 250ms);
  EXPECT_EQ(clock.steady() - steady, 250ms);
}

TEST(Clock, AStepOfTheWallAloneOrARestartOfTheMachineIsSeenWhereItShould) {
  SimulatedClock clock;
  auto wall = clock.now();
  clock.advance(5s);
  EXPECT_EQ(clock.boot(), 5s);
  clock.step_wall(-1h);
  EXPECT_EQ(clock.now(), wall + 5s - 1h);
  EXPECT_EQ(clock.boot(), 5s);
  auto boot = clock.boot_id();
  clock.reboot();
  EXPECT_EQ(clock.boot(), 0s);
  EXPECT_NE(clock.boot_id(), boot);
  EXPECT_EQ(clock.now(), wall + 5s - 1h);
}

TEST(Clock, TheSystemsOneKnowsItsBoot) {
  SystemClock clock;
  auto first = clock.boot();
  EXPECT_GT(first, 0s);
  EXPECT_GE(clock.boot(), first);
  EXPECT_EQ(clock.boot_id().size(), 36u);
  EXPECT_EQ(clock.boot_id(), SystemClock().boot_id());
}

TEST(Hash, TheStoredChecksumNeverChanges) {
  EXPECT_EQ(checksum64(""), 0x2d06800538d394c2u);  // XXH3's published value for no input
  EXPECT_NE(checksum64("a"), checksum64("b"));
  EXPECT_EQ(hash64("a"), hash64("a"));
}

TEST(Guarded, HandsOutItsValueUnderTheLock) {
  Guarded<int> count(1);
  EXPECT_EQ(count.with([](int& n) { return ++n; }), 2);
}

TEST(Log, WritesLogfmt) {
  auto line = log::format_line(log::Format::kLogfmt, "T", log::Level::kWarning, "flusher", "caught up",
                               {{"events", 12}, {"path", "/tmp/a b"}, {"ok", true}, {"ms", 1.5}, {"none", ""}});
  EXPECT_EQ(line, R"(time=T level=warning component=flusher msg="caught up" events=12 path="/tmp/a b" ok=true ms=1.500 none="")");
}

TEST(Log, WritesJson) {
  auto line = log::format_line(log::Format::kJson, "T", log::Level::kInfo, "http", "x", {{"n", -1}, {"text", "a\"b"}, {"ok", false}});
  EXPECT_EQ(line, R"({"time":"T","level":"info","component":"http","msg":"x","n":-1,"text":"a\"b","ok":false})");
}

TEST(Log, NoInputBreaksALineInTwo) {
  for (auto format : {log::Format::kLogfmt, log::Format::kJson}) {
    auto line =
        log::format_line(format, "T", log::Level::kInfo, "http", "a\nlevel=error", {{"path", "/\r\nx=\x1b[31m"}, {"bytes", "\xff\xfe"}});
    EXPECT_EQ(line.find_first_of("\n\r\x1b"), std::string::npos) << line;
  }
}

TEST(Log, BelowItsLevelNothingIsWritten) {
  log::configure(log::Level::kError, log::Format::kLogfmt);
  EXPECT_FALSE(log::is_enabled(log::Level::kWarning));
  EXPECT_TRUE(log::is_enabled(log::Level::kError));
  log::configure(log::Level::kInfo, log::Format::kLogfmt);
  EXPECT_TRUE(log::is_enabled(log::Level::kWarning));
}

// A step that says when it runs and does what the test tells it.
class StepProbe {
 public:
  BackgroundTask::Step step() {
    return [this]() -> Result<bool> {
      int run = ++runs_;
      ran_.release();
      return run <= more_      ? Result<bool>(true)
             : run <= failing_ ? Result<bool>(fail(ErrorCode::kUnavailable, "no disk"))
                               : Result<bool>(false);
    };
  }
  void run_again_until(int run) { more_ = run; }
  void fail_until(int run) { failing_ = run; }
  void wait_for_runs(int runs) {
    for (int i = 0; i < runs; ++i) ran_.acquire();
  }
  int runs() const { return runs_; }

 private:
  std::counting_semaphore<> ran_{0};
  std::atomic<int> runs_ = 0;
  int more_ = 0;
  int failing_ = 0;
};

BackgroundTask::Options only_when_woken() {
  return {.name = "test", .period = 24h, .retry_first = 1ms, .retry_max = 2ms};
}

TEST(BackgroundTask, RunsAgainAtOnceWhileThereIsMore) {
  StepProbe probe;
  probe.run_again_until(3);
  BackgroundTask task(only_when_woken(), probe.step());
  task.start();
  probe.wait_for_runs(4);
  task.stop();
  EXPECT_EQ(probe.runs(), 4);
}

TEST(BackgroundTask, RunsWhenWoken) {
  StepProbe probe;
  BackgroundTask task(only_when_woken(), probe.step());
  task.start();
  probe.wait_for_runs(1);
  task.wake();  // may come while the step still runs: it is not lost
  probe.wait_for_runs(1);
  task.stop();
}

TEST(BackgroundTask, TriesAgainAfterAFailure) {
  log::configure(log::Level::kOff, log::Format::kLogfmt);
  StepProbe probe;
  probe.fail_until(5);
  BackgroundTask task(only_when_woken(), probe.step());
  task.start();
  probe.wait_for_runs(6);
  task.stop();
  EXPECT_EQ(probe.runs(), 6);
  log::configure(log::Level::kInfo, log::Format::kLogfmt);
}

TEST(BackgroundTask, StopsTwiceAndBeforeStart) {
  StepProbe probe;
  BackgroundTask task(only_when_woken(), probe.step());
  task.stop();
  task.start();
  task.stop();
  EXPECT_EQ(probe.runs(), 0);
}

TEST(BackgroundTask, StopWaitsForTheStepThatRuns) {
  std::binary_semaphore entered{0}, leave{0};
  std::atomic<bool> finished = false;
  BackgroundTask task(only_when_woken(), [&]() -> Result<bool> {
    entered.release();
    leave.acquire();
    finished = true;
    return false;
  });
  task.start();
  entered.acquire();
  std::thread stopper([&] {
    task.stop();
    EXPECT_TRUE(finished);
  });
  leave.release();
  stopper.join();
}

}  // namespace
}  // namespace hearth
