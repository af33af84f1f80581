#include "hearth/likes/like_reconciler.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/forwarding_ledger.h"
#include "hearth/likes/like_model.h"
#include "hearth/likes/stores/memory_live_posts.h"
#include "hearth/likes/test_world.h"

namespace hearth::likes {
namespace {

const std::vector<std::string> kSessions = {"ada", "bob", "eve", "zoe"};

Task<Result<void>> flush(World& world) {
  auto flushed = world.stack->try_flush();
  co_return flushed;
}

class LikeReconcilerTest : public testing::Test {
 protected:
  // Another program's SQL.
  void corrupt(const char* sql) {
    auto connection = must(sqlite::Connection::open({.path = world.folder.path() / "ratings.db", .vfs = world.disk.name()}));
    must(sqlite::Connection::guard([&] { connection.execute(sql); }));
  }
  ReconcileReport reconcile(std::optional<PostId> of = std::nullopt) { return must(run(reconciler.reconcile(std::move(of)))); }
  std::uint32_t sync(const std::string& post_id) { return must(run(reconciler.sync(post(post_id)))); }
  void forget_all() {
    world.stack->flush();
    for (const auto& post_id : posts) ASSERT_TRUE(world.stack->store->forget(post_id));
  }
  void expect_no_drift() {
    for (int i = 0; i < 2; ++i) {
      auto report = reconcile();
      EXPECT_EQ(report.drifted, 0u);
      EXPECT_EQ(report.checked, posts.size());
    }
    for (const auto& post_id : posts) EXPECT_EQ(reconcile(post(post_id)).drifted, 0u) << post_id;
    expect_sql_equals_live(*world.stack, posts, kSessions);
  }

  World world;
  MemoryLivePosts live{*world.stack->store};
  LikeReconciler reconciler{*world.stack->store, live, *world.stack->ledger, [this] { return flush(world); }};
  const std::vector<std::string> posts = {"p", "q"};

  void SetUp() override {
    for (const char* session_id : {"ada", "bob", "eve"}) world.stack->toggle("p", session_id);
    world.stack->toggle("q", "ada");
  }
};

TEST_F(LikeReconcilerTest, QuietLikesHaveNoDrift) {
  expect_no_drift();
  forget_all();
  expect_no_drift();
  EXPECT_EQ(reconcile(post("unknown")).drifted, 0u);
}

TEST_F(LikeReconcilerTest, AWrongCountIsFoundAndRepaired) {
  for (bool in_memory : {true, false}) {
    if (!in_memory) forget_all();
    world.stack->flush();
    corrupt("UPDATE post_counts SET likes = 77 WHERE post_id = 'p'");
    auto report = reconcile();
    EXPECT_EQ(report.checked, 2u);
    EXPECT_EQ(report.drifted, 1u);
    EXPECT_EQ(report.repaired, 1u);
    ASSERT_EQ(report.drift.size(), 1u);
    EXPECT_EQ(report.drift[0].post, "p");
    EXPECT_EQ(report.drift[0].live, 3u);
    EXPECT_EQ(report.drift[0].sql, 77u);
    EXPECT_EQ(report.drift[0].ratings, 3u);
    EXPECT_EQ(world.stack->view("p", "ada").likes, 3u);
    expect_no_drift();
  }
}

TEST_F(LikeReconcilerTest, RowsThatAreGoneComeBackWhileMemoryKnowsThem) {
  world.stack->flush();
  corrupt("DELETE FROM ratings WHERE session = 'bob'");
  auto report = reconcile();
  EXPECT_EQ(report.repaired, 1u);
  EXPECT_EQ(report.drift[0].ratings, 2u);
  EXPECT_TRUE(world.stack->view("p", "bob").is_liked);
  forget_all();
  EXPECT_TRUE(world.stack->view("p", "bob").is_liked);
  expect_no_drift();
}

TEST_F(LikeReconcilerTest, RowsThatAreGoneAreGoneIfNobodyKnowsThem) {
  forget_all();
  corrupt("DELETE FROM ratings WHERE session = 'bob'");
  auto before = must(run(world.stack->store->read({post("p")}, std::nullopt))).front();
  EXPECT_EQ(reconcile().repaired, 1u);
  auto after = world.stack->view("p", "bob");
  EXPECT_EQ(after.likes, 2u);
  EXPECT_FALSE(after.is_liked);
  EXPECT_GT(after.version, before.version) << "another count is another version";
  expect_no_drift();
}

// As many rows as before: only comparing the sessions shows it.
TEST_F(LikeReconcilerTest, OtherSessionsOfTheSameNumberAreFoundForOnePost) {
  world.stack->flush();
  corrupt("UPDATE ratings SET session = 'zoe' WHERE session = 'bob'");
  EXPECT_EQ(reconcile(post("p")).repaired, 1u);
  EXPECT_TRUE(world.stack->view("p", "bob").is_liked);
  EXPECT_FALSE(world.stack->view("p", "zoe").is_liked);
  expect_no_drift();
}

TEST_F(LikeReconcilerTest, AVersionThatWasSetBackIsRepaired) {
  world.stack->flush();
  corrupt("UPDATE post_counts SET version = 5 WHERE post_id = 'p'");
  EXPECT_EQ(reconcile().repaired, 1u);
  expect_no_drift();
  corrupt("UPDATE post_counts SET version = version + 1000000 WHERE post_id = 'p'");
  EXPECT_EQ(reconcile().repaired, 1u);
  EXPECT_EQ(world.stack->toggle("p", "zoe").likes, 4u);
  expect_no_drift();
}

TEST_F(LikeReconcilerTest, SecondRowsOfASessionAreCleanedUp) {
  const std::string uuid = "550e8400-e29b-41d4-a716-446655440000";
  world.stack->toggle("p", uuid);
  forget_all();
  corrupt("INSERT INTO ratings SELECT id, '550e8400-e29b-41d4-a716-446655440000', 1 FROM post_counts WHERE post_id = 'p'");
  EXPECT_EQ(sync("p"), 4u);
  EXPECT_EQ(world.stack->toggle("p", uuid).likes, 3u);
  world.stack->flush();
  EXPECT_EQ(read_ledger(*world.stack->ledger).posts["p"].sessions.size(), 3u);
}

// --- sync and initialize: SQL is the truth ---

TEST_F(LikeReconcilerTest, SyncTakesThePostFromSql) {
  world.stack->flush();
  auto before = world.stack->view("p", "ada");
  corrupt("DELETE FROM ratings WHERE session = 'bob'");
  EXPECT_EQ(sync("p"), 2u);
  auto after = world.stack->view("p", "bob");
  EXPECT_FALSE(after.is_liked);
  EXPECT_GT(after.version, before.version);
  EXPECT_EQ(world.stack->toggle("p", "bob").likes, 3u);
  expect_no_drift();
}

TEST_F(LikeReconcilerTest, SyncTakesRowsAndCountThatWereChangedTogether) {
  world.stack->flush();
  auto before = world.stack->view("p", "ada");
  corrupt(
      "INSERT INTO ratings SELECT id, 'zoe', 1 FROM post_counts WHERE post_id = 'p';"
      "UPDATE post_counts SET likes = 4 WHERE post_id = 'p'");
  EXPECT_EQ(sync("p"), 4u);
  EXPECT_GT(world.stack->view("p", "zoe").version, before.version) << "one version has one count";
  expect_no_drift();
}

TEST_F(LikeReconcilerTest, SyncOfAQuietPostChangesNothing) {
  auto before = world.stack->view("p", "ada");
  EXPECT_EQ(sync("p"), 3u);
  EXPECT_EQ(world.stack->view("p", "ada").version, before.version);
  EXPECT_EQ(sync("unknown"), 0u);
}

TEST_F(LikeReconcilerTest, InitializeTakesEverythingFromSql) {
  world.stack->flush();
  corrupt("DELETE FROM ratings WHERE session = 'ada'; UPDATE post_counts SET likes = 9 WHERE post_id = 'q'");
  auto report = must(run(reconciler.initialize()));
  EXPECT_EQ(report.posts, 2u);
  EXPECT_EQ(report.ratings, 2u);
  EXPECT_EQ(world.stack->view("p", "ada").likes, 2u);
  EXPECT_EQ(world.stack->view("q", "ada").likes, 0u);
  expect_no_drift();
}

// --- while likes go on ---

// Just before the first repair someone likes the post, or likes it and is flushed.
class InterruptedLedger final : public ForwardingLedger {
 public:
  InterruptedLedger(World& world, bool flushes) : ForwardingLedger(*world.stack->ledger), world_(world), flushes_(flushes) {}

  Task<Result<bool>> repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) override {
    if (!std::exchange(was_interrupted_, true)) {
      auto outcome = co_await world_.stack->store->change({.post = post("p"), .session = session("zoe"), .action = LikeAction::kLike});
      EXPECT_TRUE(outcome && outcome->changed);
      if (flushes_) world_.stack->flush();
    }
    co_return co_await ForwardingLedger::repair(std::move(expected), std::move(sessions), new_version);
  }
  bool was_interrupted() const { return was_interrupted_; }

 private:
  World& world_;
  const bool flushes_;
  bool was_interrupted_ = false;
};

// The clock stands still, so that versions come from counting on: a repair and a like at once would choose the same.
TEST_F(LikeReconcilerTest, ALikeBetweenReadingAndRepairingIsNotLost) {
  for (bool syncs : {true, false}) {
    for (bool flushes : {true, false}) {
      for (bool in_memory : {true, false}) {
        SCOPED_TRACE(testing::Message() << syncs << flushes << in_memory);
        must(world.stack->change({.post = post("p"), .session = session("zoe"), .action = LikeAction::kUnlike}));
        world.stack->flush();
        if (!in_memory) forget_all();
        corrupt("UPDATE post_counts SET likes = 50 WHERE post_id = 'p'");
        InterruptedLedger ledger(world, flushes);
        LikeReconciler interrupted(*world.stack->store, live, ledger, [this] { return flush(world); });
        if (syncs) {
          EXPECT_EQ(must(run(interrupted.sync(post("p")))), 4u);
        } else {
          EXPECT_EQ(must(run(interrupted.reconcile(post("p")))).repaired, 1u);
        }
        EXPECT_TRUE(ledger.was_interrupted());
        EXPECT_TRUE(world.stack->view("p", "zoe").is_liked);
        expect_no_drift();
      }
    }
  }
}

struct Liker {
  std::string name;
  std::uint64_t seed = 0;
  bool likes = false;
  std::uint64_t last_version = 0;
  std::string fault;
};

Task<void> like_and_check(MemoryLikeStore& store, Liker& liker, int times) {
  for (int i = 0; i < times; ++i) {
    auto outcome = co_await store.change({.post = post("p"), .session = session(liker.name)});
    if (!outcome) {
      liker.fault = outcome.error().message;
      continue;
    }
    liker.likes = !liker.likes;
    if (outcome->is_liked != liker.likes) liker.fault = "another state than was answered before";
    if (outcome->version <= liker.last_version) liker.fault = "a version that went back";
    liker.last_version = outcome->version;
  }
}

Task<void> reconcile_times(LikeReconciler& reconciler, int times, std::uint64_t& drifted) {
  for (int i = 0; i < times; ++i) {
    auto all = co_await reconciler.reconcile(std::nullopt);
    auto one = co_await reconciler.reconcile(post("p"));
    auto synced = co_await reconciler.sync(post("p"));
    auto initialized = co_await reconciler.initialize();
    if (all) drifted += all->drifted;
    if (one) drifted += one->drifted;
    for (const auto& error : {all.has_value(), one.has_value()}) EXPECT_TRUE(error);
    if (!synced) EXPECT_EQ(synced.error().code, ErrorCode::kUnavailable);
    if (!initialized) EXPECT_EQ(initialized.error().code, ErrorCode::kUnavailable);
  }
}

TEST_F(LikeReconcilerTest, LikesThatGoOnAreNeitherLostNorTakenForDrift) {
  std::vector<Liker> likers(6);
  std::uint64_t drifted = 0;
  std::vector<std::string> names = kSessions;
  for (std::size_t i = 0; i < likers.size(); ++i) {
    likers[i].name = "liker" + std::to_string(i);
    names.push_back(likers[i].name);
    world.loops.spawn(i % 3, like_and_check(*world.stack->store, likers[i], 1'000));
  }
  world.loops.spawn(3, reconcile_times(reconciler, 30, drifted));
  world.loops.run();
  EXPECT_EQ(drifted, 0u);
  LikeModel live = expect_sql_equals_live(*world.stack, posts, names);
  for (const auto& liker : likers) {
    EXPECT_EQ(liker.fault, "") << liker.name;
    EXPECT_EQ(live.is_liked("p", liker.name), liker.likes) << liker.name;
  }
  for (int i = 0; i < 2; ++i) EXPECT_EQ(reconcile().drifted, 0u);
}

}  // namespace
}  // namespace hearth::likes
