#include "hearth/views/stores/redis/redis_view_store.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "hearth/views/stores/redis/redis_test_stack.h"
#include "hearth/views/stores/redis/switching_view_store.h"
#include "hearth/views/test_view_ledger.h"
#include "hearth/views/view_store_conformance.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;
using outbox::must;
using outbox::run;
using redis::KeyLayout;
using Time = RedisViewStore::Time;

class RedisViewsUnderTest final : public ViewStoreUnderTest {
 public:
  RedisViewsUnderTest(std::string url, KeyLayout layout, redis::RedisServer* server, Time time)
      : url_(std::move(url)), layout_(layout), server_(server), time_(time) {
    open();
  }

  ViewStore& store() override { return node_->store; }
  ViewLedger& ledger() override { return ledger_; }
  BufferedViews* buffered() override { return &node_->store; }
  SimulatedClock* clock() override { return time_ == Time::kOfClock ? &clock_ : nullptr; }
  void restart() override {
    node_.reset();
    if (server_ != nullptr) {
      server_->stop();
      server_->restart();
    }
    open();
  }

 private:
  void open() {
    const Clock& clock = time_ == Time::kOfClock ? static_cast<const Clock&>(clock_) : system_clock_;
    node_ = std::make_unique<RedisNode>(url_, layout_, ledger_, clock, time_);
  }

  const std::string url_;
  const KeyLayout layout_;
  redis::RedisServer* const server_;
  const Time time_;
  SystemClock system_clock_;
  SimulatedClock clock_;
  TestViewLedger ledger_;
  std::unique_ptr<RedisNode> node_;
};

template <KeyLayout kLayout, Time kTime>
std::unique_ptr<ViewStoreUnderTest> on_one_server() {
  auto& server = redis::shared_server();
  // A restart of the server takes its time; the names of keys make no difference to it.
  auto* restarts = kLayout == KeyLayout::kPlain && kTime == Time::kOfClock ? &server : nullptr;
  return std::make_unique<RedisViewsUnderTest>(redis::emptied(server), kLayout, restarts, kTime);
}
std::unique_ptr<ViewStoreUnderTest> on_cluster() {
  return std::make_unique<RedisViewsUnderTest>(redis::emptied(redis::shared_cluster()), KeyLayout::kTagged, nullptr, Time::kOfClock);
}

const ViewStoreMaker kPlain{"plain", on_one_server<KeyLayout::kPlain, Time::kOfClock>};
const ViewStoreMaker kTagged{"tagged", on_one_server<KeyLayout::kTagged, Time::kOfClock>};
const ViewStoreMaker kOwnTime{"own_time", on_one_server<KeyLayout::kPlain, Time::kOfRedis>};
const ViewStoreMaker kCluster{"cluster", on_cluster};

INSTANTIATE_TEST_SUITE_P(Redis, ViewStoreConformance, testing::Values(kPlain, kTagged, kOwnTime, kCluster), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Redis, ViewWindowConformance, testing::Values(kPlain, kTagged, kCluster), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Redis, BufferedViewsConformance, testing::Values(kPlain, kTagged, kOwnTime, kCluster), name_of_maker);

// What is in the keys, and what happens to Redis.
class RedisViewStoreTest : public testing::Test {
 protected:
  ViewOutcome view(ViewedItem item, Viewer viewer) { return must(run(store().view({.item = std::move(item), .viewer = viewer}))); }
  Result<ViewOutcome> try_view(ViewedItem item, Viewer viewer) { return run(store().view({.item = std::move(item), .viewer = viewer})); }
  ViewTotal total(ViewedItem item) { return must(run(store().totals({std::move(item)}))).front(); }
  void sync() {
    for (;;) {
      auto items = must(run(store().buffered(clock.now(), 100)));
      if (items.empty()) return;
      auto written = must(run(ledger.write(items, clock.now())));
      must(run(store().settle(items, written, clock.now())));
      clock.advance(1ms);
    }
  }
  RedisViewStore& store() { return node->store; }
  redis::Reply redis(const std::vector<std::string_view>& words) { return server.run(words); }
  std::string text(std::string_view key) { return redis({"GET", key}).text; }
  std::int64_t life(std::string_view key) { return redis({"PTTL", key}).integer; }
  bool exists(std::string_view key) { return redis({"EXISTS", key}).integer == 1; }
  // Of all keys whose name has this in it.
  std::int64_t memory_of(std::string_view pattern) {
    std::int64_t bytes = 0;
    for (const auto& key : redis({"KEYS", pattern}).elements) bytes += redis({"MEMORY", "USAGE", key.text, "SAMPLES", "0"}).integer;
    return bytes;
  }
  void view_all(const std::vector<View>& views) {
    for (const auto& outcome : run(store().view_all(views))) ASSERT_TRUE(outcome) << outcome.error().message;
  }
  std::string hour_key(std::string_view kind) {
    return "views:" + std::string(kind) + ":hour:" + std::to_string(hour_of(clock.now()).time_since_epoch().count());
  }

  redis::RedisServer& server = redis::shared_server();
  const std::string url = redis::emptied(server);
  SimulatedClock clock;
  TestViewLedger ledger;
  std::unique_ptr<RedisNode> node = std::make_unique<RedisNode>(url, KeyLayout::kPlain, ledger, clock, Time::kOfClock);
};

// --- keys ---

TEST_F(RedisViewStoreTest, KeysHaveTheNamesThatAreDocumented) {
  view(story("s"), 1);
  view(story("s"), 2);
  view(chapter("c"), 1);
  EXPECT_EQ(text("views:story:buffer:s"), "2");
  EXPECT_EQ(text("views:story:count:s"), "0");
  EXPECT_EQ(text("views:chapter:buffer:c"), "1");
  EXPECT_EQ(redis({"ZSCORE", "views:dirty", "story:s"}).text,
            std::to_string(std::chrono::floor<std::chrono::milliseconds>(clock.now()).time_since_epoch().count()));
  EXPECT_EQ(redis({"ZSCORE", hour_key("story"), "s"}).text, "2");
  sync();
  EXPECT_FALSE(exists("views:story:buffer:s"));
  EXPECT_FALSE(exists("views:story:direct:s"));
  EXPECT_FALSE(exists("views:dirty"));
  EXPECT_EQ(text("views:story:count:s"), "2");
  EXPECT_TRUE(exists("views:story:last_sync:s"));
}

TEST_F(RedisViewStoreTest, WhatSqlHasIsForgottenAfterADayAndKeptAgainFromTheNextView) {
  total(story("read"));
  EXPECT_GT(life("views:story:count:read"), 86'000'000);
  view(story("s"), 1);
  EXPECT_EQ(life("views:story:count:s"), -1);
  ledger.add(story("s"), 5, true);
  sync();
  for (const char* key : {"views:story:count:s", "views:story:direct:s", "views:story:last_sync:s"}) {
    EXPECT_GT(life(key), 86'000'000) << key;
    EXPECT_LE(life(key), 86'400'000) << key;
  }
  view(story("s"), 2);
  for (const char* key : {"views:story:count:s", "views:story:direct:s", "views:story:last_sync:s"}) EXPECT_EQ(life(key), -1) << key;
}

TEST_F(RedisViewStoreTest, HoursStayUntilSqlHasAllOfThem) {
  view(story("a"), 1);
  auto first = hour_key("story");
  clock.advance(3h);
  view(story("b"), 1);
  auto second = hour_key("story");
  clock.advance(1ms);
  auto items = must(run(store().buffered(clock.now(), 1)));
  ASSERT_EQ(items.size(), 1u);
  auto written = must(run(ledger.write(items, clock.now())));
  must(run(store().settle(items, written, clock.now())));
  EXPECT_GT(life(first), 93'000'000) << "nothing of it is missing in SQL any more";
  EXPECT_EQ(life(second), -1);
  sync();
  EXPECT_GT(life(second), 93'000'000);
  view(story("a"), 2);
  EXPECT_EQ(life(second), -1) << "a view of the same hour came";
  auto late = clock.now() - 3h;
  must(run(store().view({.item = story("c"), .viewer = 1, .at = late})));
  EXPECT_EQ(life(first), -1);
  sync();
  EXPECT_GT(life(first), 93'000'000);
  EXPECT_GT(life(second), 93'000'000);
  EXPECT_FALSE(redis({"KEYS", "views:chapter:*"}).elements.size());
}

TEST_F(RedisViewStoreTest, WhoWasSeenIsDroppedTwoWindowsAfterTheGenerationBegan) {
  SystemClock real;
  RedisNode own(url, KeyLayout::kPlain, ledger, real, Time::kOfRedis, 1h);
  must(run(own.store.view({.item = story("s"), .viewer = 1})));
  auto key = "views:story:seen:" + std::to_string(hour_of(real.now()).time_since_epoch().count()) + ":0:s";
  auto rest = 2h - (real.now() - hour_of(real.now()));
  EXPECT_LE(std::abs(life(key) - std::chrono::duration_cast<std::chrono::milliseconds>(rest).count()), 2'000);
}

// --- viewers ---

TEST_F(RedisViewStoreTest, ALateViewIsComparedWithThoseOfTheNextGeneration) {
  clock.advance(24h - clock.now().time_since_epoch() % 24h + 1h);
  EXPECT_TRUE(view(story("s"), 1).is_first);
  EXPECT_FALSE(must(run(store().view({.item = story("s"), .viewer = 1, .at = clock.now() - 3h}))).is_first);
  EXPECT_TRUE(must(run(store().view({.item = story("s"), .viewer = 1, .at = clock.now() - 24h}))).is_first);
}

// As after a failover to a server whose clock is behind.
TEST_F(RedisViewStoreTest, WhoWasSeenIsKnownWhenTheClockGoesBackIntoTheGenerationBefore) {
  clock.advance(24h - clock.now().time_since_epoch() % 24h + 1s);
  EXPECT_TRUE(view(story("s"), 1).is_first);
  EXPECT_TRUE(must(run(store().view({.item = story("s"), .viewer = 3, .previous = 2}))).is_first);
  clock.advance(-2s);
  EXPECT_FALSE(view(story("s"), 1).is_first);
  EXPECT_FALSE(must(run(store().view({.item = story("s"), .viewer = 4, .previous = 3}))).is_first);
  EXPECT_TRUE(view(story("s"), 5).is_first);
  EXPECT_EQ(total(story("s")).views, 3u);
}

TEST_F(RedisViewStoreTest, AViewOfDaysAgoCountsOnceHoweverOftenItIsBrought) {
  SystemClock real;
  RedisNode own(url, KeyLayout::kPlain, ledger, real, Time::kOfRedis);
  View late{.item = story("s"), .viewer = 1, .at = real.now() - 24h * 5};
  EXPECT_TRUE(must(run(own.store.view(late))).is_first);
  EXPECT_FALSE(must(run(own.store.view(late))).is_first);
  // What is older than any window is taken for what was then.
  View ancient{.item = story("s"), .viewer = 2, .at = UtcMicros{}};
  EXPECT_TRUE(must(run(own.store.view(ancient))).is_first);
  EXPECT_FALSE(must(run(own.store.view(ancient))).is_first);
  auto items = must(run(own.store.buffered(real.now(), 10)));
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].hours.size(), 2u);
  auto written = must(run(ledger.write(items, real.now())));
  must(run(own.store.settle(items, written, real.now())));
  EXPECT_EQ(redis({"KEYS", "views:story:seen:*"}).elements.size(), 2u);
  for (const auto& key : redis({"KEYS", "views:*"}).elements) EXPECT_GT(life(key.text), 3'500'000) << key.text;
}

TEST_F(RedisViewStoreTest, ThousandsOfViewersAreToldApart) {
  std::mt19937_64 random(7);
  std::vector<View> views;
  for (int i = 0; i < 5'000; ++i) views.push_back({.item = story("s"), .viewer = random()});
  for (int round = 0; round < 2; ++round) {
    std::uint64_t firsts = 0;
    for (const auto& outcome : run(store().view_all(views))) firsts += outcome.value().is_first ? 1 : 0;
    EXPECT_EQ(firsts, round == 0 ? 5'000u : 0u);
    clock.advance(13h);  // then partly in the generation before
    if (round == 0) clock.advance(-12h);
  }
  EXPECT_EQ(total(story("s")).views, 5'000u);
  // Every hash stays packed.
  for (const auto& key : redis({"KEYS", "views:story:seen:*"}).elements) {
    EXPECT_EQ(redis({"OBJECT", "ENCODING", key.text}).text, "listpack");
    EXPECT_LE(redis({"HLEN", key.text}).integer, 200);
  }
}

// Viewers whose bits are the same where hashes are chosen: no hash can be split usefully, and still each counts once.
TEST_F(RedisViewStoreTest, ViewersThatAllFallIntoOneHashCountOnce) {
  std::vector<View> views;
  for (std::uint64_t i = 0; i < 600; ++i) views.push_back({.item = story("s"), .viewer = i << 32});
  view_all(views);
  view_all(views);
  EXPECT_EQ(total(story("s")).views, 600u);
}

TEST_F(RedisViewStoreTest, AViewerTakesTheBytesThatTheHeaderSays) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; i += 500) {
    std::vector<View> views;
    for (int n = 0; n < 500; ++n) views.push_back({.item = story("big"), .viewer = random()});
    view_all(views);
  }
  std::vector<View> views;
  for (int n = 0; n < 1'000; ++n) views.push_back({.item = story("medium"), .viewer = random()});
  for (int n = 0; n < 3'000; ++n) views.push_back({.item = chapter("c" + std::to_string(n / 3)), .viewer = random()});
  view_all(views);
  auto big = static_cast<double>(memory_of("views:story:seen:*:big")) / 20'000;
  auto medium = static_cast<double>(memory_of("views:story:seen:*:medium")) / 1'000;
  auto few = static_cast<double>(memory_of("views:chapter:seen:*")) / 3'000;
  RecordProperty("bytes_of_many", std::to_string(big));
  RecordProperty("bytes_of_1000", std::to_string(medium));
  RecordProperty("bytes_of_3", std::to_string(few));
  EXPECT_LT(big, 20);
  EXPECT_LT(medium, 21);
  EXPECT_LT(few, 90);
}

// --- SQL and Redis ---

TEST_F(RedisViewStoreTest, AnItemIsLoadedOnceHoweverManyAskForIt) {
  ledger.add(story("s"), 40, false);
  std::vector<View> views;
  for (Viewer viewer = 1; viewer <= 200; ++viewer) views.push_back({.item = story("s"), .viewer = viewer});
  view_all(views);
  EXPECT_EQ(store().counters().loads, 1u);
  EXPECT_EQ(store().counters().counted, 200u);
  EXPECT_EQ(total(story("s")).views, 240u);
}

TEST_F(RedisViewStoreTest, WithoutSqlLoadedItemsGoOnAndOthersAreUnavailable) {
  view(story("s"), 1);
  ledger.is_away = true;
  EXPECT_EQ(view(story("s"), 2).views, 2u);
  auto unknown = try_view(story("t"), 1);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnavailable);
  ledger.is_away = false;
  EXPECT_TRUE(view(story("t"), 1).is_first);
}

TEST_F(RedisViewStoreTest, WhatSqlCountedItselfIsTakenUpByReloading) {
  view(story("clean"), 1);
  sync();
  view(story("dirty"), 1);
  for (const auto& item : {story("clean"), story("dirty"), story("new")}) ledger.add(item, 5, true);
  must(run(store().reload({story("clean"), story("dirty"), story("new")})));
  must(run(store().reload({story("clean"), story("dirty"), story("new")})));
  EXPECT_EQ(total(story("clean")).views, 6u);
  EXPECT_EQ(total(story("dirty")).views, 6u);
  EXPECT_EQ(total(story("dirty")).buffered, 1u);
  EXPECT_EQ(total(story("new")).views, 5u);
  sync();
  EXPECT_EQ(total(story("dirty")).views, 6u);
  EXPECT_EQ(must(run(ledger.totals({story("dirty")}))).front().views, 6u);
}

// A reload between a sync's writing and its settling: SQL has the buffer already.
TEST_F(RedisViewStoreTest, AReloadDuringASyncDoublesNothing) {
  view(story("s"), 1);
  view(story("s"), 2);
  clock.advance(1ms);
  auto items = must(run(store().buffered(clock.now(), 10)));
  ledger.add(story("s"), 5, true);
  auto written = must(run(ledger.write(items, clock.now())));
  must(run(store().reload({story("s")})));
  EXPECT_EQ(total(story("s")).views, 7u);
  view(story("s"), 3);
  must(run(store().settle(items, written, clock.now())));
  EXPECT_EQ(total(story("s")).views, 8u);
  EXPECT_EQ(total(story("s")).buffered, 1u);
  clock.advance(1ms);
  sync();
  EXPECT_EQ(must(run(ledger.totals({story("s")}))).front().views, 8u);
}

TEST_F(RedisViewStoreTest, TwoSyncsAtOnceLoseAndDoubleNothing) {
  view(story("s"), 1);
  clock.advance(1ms);
  auto early = must(run(store().buffered(clock.now(), 10)));
  view(story("s"), 2);
  auto later = must(run(store().buffered(clock.now(), 10)));
  view(story("s"), 3);
  auto later_written = must(run(ledger.write(later, clock.now())));
  auto early_written = must(run(ledger.write(early, clock.now())));
  EXPECT_EQ(later_written[0].added + early_written[0].added, 2u);
  must(run(store().settle(later, later_written, clock.now())));
  must(run(store().settle(early, early_written, clock.now())));
  EXPECT_EQ(total(story("s")).views, 3u);
  EXPECT_EQ(total(story("s")).buffered, 1u);
  clock.advance(1ms);
  sync();
  EXPECT_EQ(must(run(ledger.totals({story("s")}))).front().views, 3u);
  EXPECT_EQ(total(story("s")).buffered, 0u);
}

// --- trouble ---

TEST_F(RedisViewStoreTest, AKeyOfAnotherTypeChangesNothing) {
  view(story("s"), 1);
  auto names_before = redis({"DBSIZE"}).integer;
  auto refused = [&](const std::string& key, const std::vector<std::string_view>& damage) {
    redis({"RENAME", key, "kept"});
    redis(damage);
    auto outcome = try_view(story("s"), 2);
    ASSERT_FALSE(outcome) << key;
    redis({"DEL", key});
    redis({"RENAME", "kept", key});
    EXPECT_EQ(redis({"DBSIZE"}).integer, names_before) << key;
    EXPECT_EQ(total(story("s")).views, 1u) << key;
    EXPECT_EQ(redis({"ZSCORE", hour_key("story"), "s"}).text, "1") << key;
  };
  auto generation = std::to_string(clock.now().time_since_epoch() / 24h);
  refused("views:story:count:s", {"RPUSH", "views:story:count:s", "x"});
  refused("views:story:buffer:s", {"SET", "views:story:buffer:s", "x"});
  refused("views:dirty", {"SET", "views:dirty", "x"});
  refused(hour_key("story"), {"SET", hour_key("story"), "x"});
  refused("views:story:seen:" + generation + ":0:s", {"SET", "views:story:seen:" + generation + ":0:s", "x"});
  EXPECT_TRUE(view(story("s"), 2).is_first);
}

TEST_F(RedisViewStoreTest, OutOfMemoryNothingIsCountedAndReadsGoOn) {
  view(story("s"), 1);
  redis({"CONFIG", "SET", "maxmemory", "1"});
  auto refused = try_view(story("s"), 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(total(story("s")).views, 1u);
  EXPECT_FALSE(view(story("s"), 1).is_first);
  redis({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(view(story("s"), 2).views, 2u);
}

TEST_F(RedisViewStoreTest, ARedisThatCameBackEmptyGoesOnFromSql) {
  view(story("s"), 1);
  view(story("s"), 2);
  sync();
  view(story("s"), 3);
  redis({"FLUSHALL"});
  EXPECT_EQ(total(story("s")).views, 2u) << "the view that SQL had not is lost";
  EXPECT_EQ(view(story("s"), 4).views, 3u);
  clock.advance(1ms);
  sync();
  EXPECT_EQ(must(run(ledger.totals({story("s")}))).front().views, 3u);
}

// As after a failover: Redis is as it was some time ago.
TEST_F(RedisViewStoreTest, ARedisThatLostItsTailDoublesNothing) {
  view(story("s"), 1);
  view(story("s"), 2);
  sync();
  view(story("s"), 3);
  auto count = text("views:story:count:s");
  auto buffer = text("views:story:buffer:s");
  auto mark = redis({"ZSCORE", "views:dirty", "story:s"}).text;
  view(story("s"), 4);
  clock.advance(1ms);
  sync();
  EXPECT_EQ(text("views:story:count:s"), "4");
  redis({"SET", "views:story:count:s", count});
  redis({"SET", "views:story:buffer:s", buffer});
  redis({"ZADD", "views:dirty", mark, "story:s"});
  EXPECT_EQ(total(story("s")).views, 3u);
  sync();
  EXPECT_EQ(total(story("s")).views, 4u);
  EXPECT_EQ(must(run(ledger.totals({story("s")}))).front().views, 4u);
  EXPECT_EQ(view(story("s"), 5).views, 5u);
}

TEST_F(RedisViewStoreTest, WithoutRedisItIsUnavailable) {
  redis::RedisServer other;
  RedisNode away(other.url(), KeyLayout::kPlain, ledger, clock, Time::kOfClock);
  must(run(away.store.view({.item = story("s"), .viewer = 1})));
  other.kill();
  auto view = run(away.store.view({.item = story("s"), .viewer = 2}));
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(run(away.store.totals({story("s")})));
  EXPECT_FALSE(run(away.store.hours(story("s"), hour_of(clock.now()))));
  EXPECT_FALSE(run(away.store.trending(hour_of(clock.now()), 10)));
  EXPECT_FALSE(run(away.store.buffered(clock.now(), 10)));
  EXPECT_FALSE(run(away.store.stats()));
  EXPECT_FALSE(run(away.store.settle({{.item = story("s")}}, {{}}, clock.now())));
}

// Two nodes whose clocks differ: what was answered before a sync is in it.
TEST_F(RedisViewStoreTest, ASyncOfANodeWhoseClockIsSlowHasAllThatWasAnswered) {
  SystemClock real;
  RedisNode fast(url, KeyLayout::kPlain, ledger, real, Time::kOfRedis);
  SimulatedClock slow_clock(std::chrono::floor<std::chrono::microseconds>(real.now()) - 90s);
  RedisNode slow(url, KeyLayout::kPlain, ledger, slow_clock, Time::kOfRedis);
  must(run(fast.store.view({.item = story("s"), .viewer = 1})));
  auto items = must(run(slow.store.buffered(slow_clock.now(), 10)));
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].hours.size(), 1u);
}

// --- switching ---

TEST_F(RedisViewStoreTest, ViewsAreServedFromWherePlaceSays) {
  SystemClock real;
  TestViewLedger other_ledger;
  RedisNode sql(url, KeyLayout::kTagged, other_ledger, clock, Time::kOfClock);
  Result<SwitchingViewStore::Store> place = fail(ErrorCode::kUnavailable, "not yet");
  SwitchingViewStore switching(store(), sql.store, [&] { return place; });
  auto see = [&](Viewer viewer) { return run(switching.view({.item = story("s"), .viewer = viewer})); };
  EXPECT_EQ(see(1).error().message, "not yet");
  EXPECT_FALSE(run(switching.totals({story("s")})));
  EXPECT_FALSE(run(switching.hours(story("s"), hour_of(clock.now()))));
  EXPECT_FALSE(run(switching.trending(hour_of(clock.now()), 10)));
  place = SwitchingViewStore::Store::kLive;
  EXPECT_EQ(see(1)->views, 1u);
  EXPECT_EQ(see(2)->views, 2u);
  EXPECT_EQ(must(run(switching.hours(story("s"), hour_of(clock.now())))).size(), 1u);
  place = SwitchingViewStore::Store::kSql;
  EXPECT_EQ(see(1)->views, 1u);
  EXPECT_EQ(must(run(switching.totals({story("s")}))).front().views, 1u);
  EXPECT_EQ(must(run(switching.trending(hour_of(clock.now()), 10))).front().views, 1u);
  EXPECT_EQ(total(story("s")).views, 2u);
}

}  // namespace
}  // namespace hearth::views
