#include "hearth/limits/limit_service.h"

#include <gtest/gtest.h>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/limits/test_limiter.h"

namespace hearth::limits {
namespace {

using std::chrono::seconds;

class LimitServiceTest : public testing::Test {
 protected:
  static Ask ask(const char* key, std::uint64_t limit, OnFailure on_failure = OnFailure::kLocal) {
    return {.check = {.key = key, .limit = limit, .window = seconds(60)}, .on_failure = on_failure};
  }
  Answers take(std::vector<Ask> asks) { return run_to_end(service.take(std::move(asks))).value(); }
  Answers peek(std::vector<Ask> asks) { return run_to_end(service.peek(std::move(asks))).value(); }
  bool is_taken(const Ask& one) { return take({one}).is_allowed(); }

  void lose_store() { store.failure = Error{ErrorCode::kUnavailable, "away"}; }

  SimulatedClock clock;
  TestLimiter store{clock};
  TestLimiter local{clock};
  LimitService service{store, local, clock};
};

TEST_F(LimitServiceTest, SaysWhatTheStoreSays) {
  auto answers = take({ask("a", 2), ask("b", 5)});
  EXPECT_TRUE(answers.is_allowed());
  EXPECT_FALSE(answers.is_degraded);
  EXPECT_EQ(answers.decisions.at(0).remaining, 1U);
  EXPECT_EQ(answers.decisions.at(1).remaining, 4U);
  EXPECT_EQ(peek({ask("a", 2)}).decisions.at(0).remaining, 1U);
  EXPECT_TRUE(is_taken(ask("a", 2)));
  EXPECT_FALSE(take({ask("a", 2), ask("b", 5)}).is_allowed());
  EXPECT_EQ(local.calls, 0);
}

TEST_F(LimitServiceTest, AsksThisNodesMemoryWhileTheStoreIsAway) {
  lose_store();
  EXPECT_TRUE(is_taken(ask("a", 2)));
  auto answers = take({ask("a", 2)});
  EXPECT_TRUE(answers.is_degraded);
  EXPECT_EQ(answers.decisions.at(0).remaining, 0U);
  EXPECT_FALSE(is_taken(ask("a", 2)));
  EXPECT_EQ(peek({ask("a", 2)}).decisions.at(0).remaining, 0U);
  EXPECT_EQ(service.stats().by_local, 4U);
  EXPECT_EQ(service.stats().store_failures, 4U);
}

TEST_F(LimitServiceTest, AllowsWhatIsOpenWhileTheStoreIsAway) {
  lose_store();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(is_taken(ask("a", 1, OnFailure::kOpen)));
  EXPECT_EQ(service.stats().by_open, 3U);
  EXPECT_EQ(local.calls, 0);
}

TEST_F(LimitServiceTest, RefusesWhatIsClosedWhileTheStoreIsAway) {
  lose_store();
  auto answers = take({ask("a", 1, OnFailure::kClosed)});
  EXPECT_FALSE(answers.is_allowed());
  EXPECT_EQ(answers.decisions.at(0).retry_after, seconds(1));
  EXPECT_EQ(answers.decisions.at(0).reset, clock.now() + seconds(1));
  EXPECT_EQ(answers.decisions.at(0).limit, 1U);
  EXPECT_EQ(service.stats().by_closed, 1U);
}

TEST_F(LimitServiceTest, TakesNothingLocallyWhereOneIsClosed) {
  lose_store();
  auto answers = take({ask("a", 1), ask("b", 1, OnFailure::kOpen), ask("c", 1, OnFailure::kClosed)});
  EXPECT_TRUE(answers.decisions.at(0).is_allowed);
  EXPECT_TRUE(answers.decisions.at(1).is_allowed);
  EXPECT_FALSE(answers.decisions.at(2).is_allowed);
  EXPECT_TRUE(is_taken(ask("a", 1)));
}

TEST_F(LimitServiceTest, RefusesWhereNoMemoryCanAnswer) {
  lose_store();
  local.failure = Error{ErrorCode::kUnavailable, "full"};
  EXPECT_FALSE(is_taken(ask("a", 1)));
  EXPECT_TRUE(is_taken(ask("a", 1, OnFailure::kOpen)));
}

TEST_F(LimitServiceTest, RefusesWhereTheOneMemoryIsFull) {
  LimitService alone(store, store, clock);
  lose_store();
  store.calls = 0;
  EXPECT_FALSE(run_to_end(alone.take({ask("a", 1)})).value().is_allowed());
  EXPECT_EQ(store.calls, 1);  // it is not asked again
}

TEST_F(LimitServiceTest, PassesOnWhatIsWrongWithTheRequest) {
  store.failure = Error{ErrorCode::kInvalidArgument, "cost", "cost"};
  auto answers = run_to_end(service.take({ask("a", 1)}));
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(service.stats().store_failures, 0U);
}

TEST_F(LimitServiceTest, GivesBack) {
  EXPECT_TRUE(is_taken(ask("a", 1)));
  EXPECT_EQ(run_to_end(service.refund(ask("a", 1))).value().decisions.at(0).remaining, 1U);
  EXPECT_TRUE(is_taken(ask("a", 1)));
}

TEST_F(LimitServiceTest, GivesBackLocallyWhatWasTakenLocally) {
  lose_store();
  EXPECT_TRUE(is_taken(ask("a", 1)));
  EXPECT_TRUE(run_to_end(service.refund(ask("a", 1))).value().is_degraded);
  EXPECT_TRUE(is_taken(ask("a", 1)));
  auto refused = run_to_end(service.refund(ask("a", 1, OnFailure::kOpen)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST_F(LimitServiceTest, LogsAnOutageOnce) {
  testing::internal::CaptureStderr();
  for (int round = 0; round < 5; ++round) {  // flapping is one outage
    lose_store();
    is_taken(ask("a", 100));
    store.failure.reset();
    is_taken(ask("a", 100));
    clock.advance(seconds(1));
  }
  clock.advance(kOutageQuiet);
  is_taken(ask("a", 100));
  is_taken(ask("a", 100));
  auto once = testing::internal::GetCapturedStderr();
  auto count = [](const std::string& text, const char* part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count(once, "does not answer"), 1) << once;
  EXPECT_EQ(count(once, "answers again"), 1) << once;

  testing::internal::CaptureStderr();
  lose_store();
  is_taken(ask("a", 100));
  EXPECT_EQ(count(testing::internal::GetCapturedStderr(), "does not answer"), 1);  // another one
}

}  // namespace
}  // namespace hearth::limits
