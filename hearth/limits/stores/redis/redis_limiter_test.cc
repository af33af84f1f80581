#include "hearth/limits/stores/redis/redis_limiter.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/drivers/redis/shared_test_servers.h"
#include "hearth/drivers/redis/test_clients.h"
#include "hearth/limits/limiter_conformance.h"

namespace hearth::limits {
namespace scripts {
extern const char kLimit[];
}
namespace {

using namespace std::chrono_literals;
using redis::KeyLayout;
using redis::KeyNames;

constexpr int kPartitions = 4;

class RedisLimiterUnderTest final : public LimiterUnderTest {
 public:
  RedisLimiterUnderTest(std::string url, KeyLayout layout, std::size_t exact_entries_max)
      : url_(std::move(url)), layout_(layout), exact_entries_max_(exact_entries_max) {
    restart();
  }
  ~RedisLimiterUnderTest() override { client_->stop(); }

  Limiter& limiter() override { return *limiter_; }
  UtcMicros now() override { return clock_.now(); }
  void advance(std::chrono::microseconds by) override { clock_.advance(by); }
  bool restart() override {
    if (client_) client_->stop();
    client_ = redis::connected({.url = url_});
    RedisLimiter::Options options{.exact_entries_max = exact_entries_max_, .clock = &clock_};
    limiter_ = std::make_unique<RedisLimiter>(*client_, KeyNames(layout_, kPartitions), options);
    return true;
  }

 private:
  const std::string url_;
  const KeyLayout layout_;
  const std::size_t exact_entries_max_;
  SimulatedClock clock_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<RedisLimiter> limiter_;
};

template <KeyLayout kLayout>
std::unique_ptr<LimiterUnderTest> on_one_server(std::size_t exact_entries_max) {
  return std::make_unique<RedisLimiterUnderTest>(redis::emptied(redis::shared_server()), kLayout, exact_entries_max);
}
std::unique_ptr<LimiterUnderTest> on_cluster(std::size_t exact_entries_max) {
  return std::make_unique<RedisLimiterUnderTest>(redis::emptied(redis::shared_cluster()), KeyLayout::kTagged, exact_entries_max);
}

INSTANTIATE_TEST_SUITE_P(Redis, LimiterConformance,
                         testing::Values(LimiterMaker{"plain", on_one_server<KeyLayout::kPlain>},
                                         LimiterMaker{"tagged", on_one_server<KeyLayout::kTagged>}, LimiterMaker{"cluster", on_cluster}),
                         name_of_limiter);

// Redis' own time, and what is in its keys.
class RedisLimiterTest : public testing::Test {
 protected:
  ~RedisLimiterTest() override { client->stop(); }

  Result<std::vector<Decision>> try_take(std::vector<Check> checks) { return run(limiter.take(std::move(checks))); }
  Decision take(Check check) { return must(try_take({std::move(check)})).front(); }
  redis::Reply redis(const std::vector<std::string_view>& words) { return server.run(words); }
  std::int64_t memory(std::string_view key) { return redis({"MEMORY", "USAGE", key, "SAMPLES", "0"}).integer; }

  redis::RedisServer& server = redis::shared_server();
  std::unique_ptr<redis::Client> client = redis::connected({.url = redis::emptied(server)});
  RedisLimiter limiter{*client, KeyNames(KeyLayout::kPlain, kPartitions)};
};

TEST_F(RedisLimiterTest, KeysHaveTheNamesThatAreDocumented) {
  take(check_of("a:b", 2, 60'000ms));
  take(check_of("a:b", 2, 60'000ms, Algorithm::kGcra));
  take(check_of("a:b", 2, 60'000ms, Algorithm::kFixedWindow));
  EXPECT_EQ(redis({"TYPE", "ratelimit:a:b:60000"}).text, "list");
  EXPECT_EQ(redis({"TYPE", "ratelimit:a:b:60000:gcra"}).text, "string");
  EXPECT_EQ(redis({"TYPE", "ratelimit:a:b:60000:fixed"}).text, "string");
  EXPECT_EQ(redis({"DBSIZE"}).integer, 3);
}

TEST_F(RedisLimiterTest, KeysEndWhenAllHasLeft) {
  for (Algorithm algorithm : kAlgorithms) {
    take(check_of("k", 2, 600'000ms, algorithm));
    take(check_of("short", 2, 40ms, algorithm));
  }
  auto ttl = redis({"PTTL", "ratelimit:k:600000"}).integer;
  EXPECT_GT(ttl, 590'000);
  EXPECT_LE(ttl, 600'000);
  EXPECT_LE(redis({"PTTL", "ratelimit:k:600000:gcra"}).integer, 300'001);
  EXPECT_GT(redis({"PTTL", "ratelimit:k:600000:gcra"}).integer, 290'000);
  EXPECT_LE(redis({"PTTL", "ratelimit:k:600000:fixed"}).integer, 600'000);
  EXPECT_GT(redis({"PTTL", "ratelimit:k:600000:fixed"}).integer, 0);
  EXPECT_TRUE(redis::eventually([&] { return redis({"DBSIZE"}).integer == 3; }));
}

TEST_F(RedisLimiterTest, TimeIsThatOfRedisAndPlacesBecomeFree) {
  auto before = SystemClock().now();
  auto first = take(check_of("k", 1, 50ms));
  EXPECT_GE(first.reset, before + 50ms);
  EXPECT_LE(first.reset, SystemClock().now() + 50ms);
  auto refused = take(check_of("k", 1, 50ms));
  if (!refused.is_allowed) EXPECT_EQ(refused.reset, first.reset);
  EXPECT_TRUE(redis::eventually([&] { return take(check_of("k", 1, 50ms)).is_allowed; }));
}

TEST_F(RedisLimiterTest, TimeOfAKeyNeverGoesBack) {
  SimulatedClock clock;
  RedisLimiter stepped(*client, KeyNames(KeyLayout::kPlain, kPartitions), {.clock = &clock});
  for (Algorithm algorithm : kAlgorithms) {
    Check check = check_of("k", 2, 1'000ms, algorithm);
    clock.advance(1'000ms - clock.now().time_since_epoch() % 1'000ms);
    auto first = must(run(stepped.take({check}))).front();
    clock.advance(-5s);
    auto second = must(run(stepped.take({check}))).front();
    EXPECT_EQ(second.remaining, 0u);
    EXPECT_GE(second.reset, first.reset - 500ms);
    auto refused = must(run(stepped.take({check}))).front();
    EXPECT_FALSE(refused.is_allowed);
    EXPECT_LE(*refused.retry_after, 1'000ms) << name_of(algorithm);
    clock.advance(6s);
    EXPECT_TRUE(must(run(stepped.take({check}))).front().is_allowed);
    clock.advance(10s);
  }
}

TEST_F(RedisLimiterTest, AKeyOfAnotherTypeChangesNothingElse) {
  redis({"SET", "ratelimit:bad:1000", "x"});
  redis({"SET", "ratelimit:bad:1000:gcra", "x"});
  for (Algorithm algorithm : {Algorithm::kSlidingWindow, Algorithm::kGcra}) {
    auto outcome = try_take({check_of("good", 5, 60'000ms), check_of("bad", 5, 1'000ms, algorithm)});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kInternal);
  }
  EXPECT_EQ(redis({"EXISTS", "ratelimit:good:60000"}).integer, 0);
}

TEST_F(RedisLimiterTest, OutOfMemoryItIsUnavailableAndTakesNothing) {
  take(check_of("k", 5, 60'000ms));
  redis({"CONFIG", "SET", "maxmemory", "1"});
  for (Algorithm algorithm : kAlgorithms) {
    auto outcome = try_take({check_of("new", 5, 60'000ms, algorithm), check_of("k", 5, 60'000ms)});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
  }
  EXPECT_EQ(must(run(limiter.peek({check_of("k", 5, 60'000ms)}))).front().remaining, 4u) << "looking goes on";
  redis({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(redis({"DBSIZE"}).integer, 1);
  EXPECT_EQ(take(check_of("k", 5, 60'000ms)).remaining, 3u);
}

TEST_F(RedisLimiterTest, WithoutRedisItIsUnavailable) {
  redis::RedisServer other;
  auto away = redis::connected({.url = other.url(), .call_timeout = 200ms});
  RedisLimiter limits(*away, KeyNames(KeyLayout::kPlain, kPartitions));
  EXPECT_TRUE(must(run(limits.take({check_of("k", 1, 60'000ms)}))).front().is_allowed);
  other.pause();
  auto unknown = run(limits.take({check_of("k", 1, 60'000ms)}));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnavailable);
  other.kill();
  auto not_sent = run(limits.refund(check_of("k", 1, 60'000ms)));
  ASSERT_FALSE(not_sent);
  EXPECT_EQ(not_sent.error().code, ErrorCode::kUnavailable);
  away->stop();
}

// What the header says of memory.
TEST_F(RedisLimiterTest, AnAdmissionTakesAbout12Bytes) {
  SimulatedClock clock;
  RedisLimiter stepped(*client, KeyNames(KeyLayout::kPlain, kPartitions), {.clock = &clock});
  auto fill = [&](const std::string& key, std::uint64_t count, std::uint64_t limit) {
    for (std::uint64_t i = 0; i < count; ++i) {
      clock.advance(1ms);
      must(run(stepped.take({check_of(key, limit, 600'000ms)})));
    }
    return memory("ratelimit:" + key + ":600000");
  };
  auto one = fill("one", 1, 10);
  auto hundred = fill("hundred", 100, 100);
  auto full = fill("full", kExactEntriesMax, kExactEntriesMax);
  RecordProperty("bytes_of_1", std::to_string(one));
  RecordProperty("bytes_of_100", std::to_string(hundred));
  RecordProperty("bytes_of_10000", std::to_string(full));
  EXPECT_LE(one, 260);
  EXPECT_LE(hundred / 100, 16);
  EXPECT_LE(full / static_cast<std::int64_t>(kExactEntriesMax), 13);
}

// A log that was left alone for long is walked once, not at every question.
TEST_F(RedisLimiterTest, WhatHasLeftIsDroppedByReadersToo) {
  SimulatedClock clock;
  RedisLimiter stepped(*client, KeyNames(KeyLayout::kPlain, kPartitions), {.clock = &clock});
  Check check = check_of("k", 500, 1'000ms);
  for (int i = 0; i < 400; ++i) {
    clock.advance(2ms);
    must(run(stepped.take({check})));
  }
  clock.advance(800ms);
  auto seen = must(run(stepped.peek({check}))).front();
  EXPECT_EQ(redis({"LLEN", "ratelimit:k:1000"}).integer, 1 + 2 * static_cast<std::int64_t>(500 - seen.remaining));
  EXPECT_EQ(must(run(stepped.peek({check}))).front(), seen);
  clock.advance(1'000ms);
  EXPECT_EQ(must(run(stepped.peek({check}))).front().remaining, 500u);
  EXPECT_EQ(redis({"EXISTS", "ratelimit:k:1000"}).integer, 0);
}

// Of a take over several partitions that was not to be, nothing stays, and of others' nothing goes.
TEST_F(RedisLimiterTest, WhatIsUndoneIsOnesOwn) {
  SimulatedClock clock;
  RedisLimiter stepped(*client, KeyNames(KeyLayout::kPlain, kPartitions), {.clock = &clock});
  Check check = check_of("k", 10, 1'000ms);
  check.cost = 2;
  must(run(stepped.take({check})));
  auto first = std::to_string(clock.now().time_since_epoch().count());
  clock.advance(10ms);
  check.cost = 3;
  must(run(stepped.take({check})));
  auto second = std::to_string(clock.now().time_since_epoch().count());
  const redis::Script script{std::string(scripts::kLimit)};
  auto undo = [&](const std::string& cost, const std::string& at) {
    redis::ScriptCall call{.script = &script, .keys = {"ratelimit:k:1000"}};
    call.arguments = {"undo", second, "sliding", "10", "1000000", cost, "1", at};
    must(client->run_blocking(std::move(call)));
  };
  undo("2", first);
  clock.advance(990ms);
  EXPECT_EQ(must(run(stepped.peek({check}))).front().remaining, 7u);
  clock.advance(10ms);
  EXPECT_EQ(must(run(stepped.peek({check}))).front().remaining, 10u);
}

// As take_together() does it, and others come in between.
class RedisUndo : public RedisLimiterTest {
 protected:
  std::string script(const char* mode, const Check& check, const std::string& taken) {
    static const redis::Script limit{std::string(scripts::kLimit)};
    bool is_gcra = check.algorithm == Algorithm::kGcra;
    redis::ScriptCall call{.script = &limit, .keys = {"ratelimit:" + check.key + ":1000:" + (is_gcra ? "gcra" : "fixed")}};
    call.arguments = {mode,
                      std::to_string(clock.now().time_since_epoch().count()),
                      is_gcra ? "gcra" : "fixed",
                      std::to_string(check.limit),
                      "1000000",
                      std::to_string(check.cost),
                      "1",
                      taken};
    auto reply = must(client->run_blocking(std::move(call)));
    EXPECT_EQ(reply.elements.at(0).integer, 1) << mode;
    return reply.elements.at(4).text;
  }
  std::uint64_t remaining(const Check& check) { return must(run(stepped.peek({check}))).front().remaining; }
  void align() { clock.advance(1'000ms - clock.now().time_since_epoch() % 1'000ms); }

  SimulatedClock clock;
  RedisLimiter stepped{*client, KeyNames(KeyLayout::kPlain, kPartitions), {.clock = &clock}};
};

TEST_F(RedisUndo, AtOnceLeavesNoTrace) {
  for (Algorithm algorithm : {Algorithm::kGcra, Algorithm::kFixedWindow}) {
    Check check = check_of("k", 7, 1'000ms, algorithm, 2);
    align();
    script("undo", check, script("take", check, ""));
    EXPECT_EQ(remaining(check), 7u) << name_of(algorithm);
    must(run(stepped.take({check})));
    auto taken = script("take", check, "");
    must(run(stepped.take({check})));
    EXPECT_EQ(remaining(check), 1u);
    script("undo", check, taken);
    EXPECT_EQ(remaining(check), 3u) << name_of(algorithm);
  }
}

TEST_F(RedisUndo, AfterTheWindowGivesNothingOfTheNextBack) {
  Check check = check_of("k", 5, 1'000ms, Algorithm::kFixedWindow, 2);
  align();
  auto taken = script("take", check, "");
  clock.advance(1'000ms);
  must(run(stepped.take({check})));
  script("undo", check, taken);
  EXPECT_EQ(remaining(check), 3u);
}

TEST_F(RedisUndo, GivesNoDebtBackThatTimeHasPaid) {
  Check check = check_of("k", 10, 1'000ms, Algorithm::kGcra, 4);
  auto taken = script("take", check, "");
  clock.advance(300ms);
  must(run(stepped.take({check})));
  EXPECT_EQ(remaining(check), 5u);
  script("undo", check, taken);
  EXPECT_EQ(remaining(check), 6u) << "a quarter of it was owed still";

  align();
  clock.advance(1'000ms);
  taken = script("take", check, "");
  clock.advance(400ms);
  must(run(stepped.take({check})));
  script("undo", check, taken);
  EXPECT_EQ(remaining(check), 6u) << "all of it was paid before";
}

}  // namespace
}  // namespace hearth::limits
