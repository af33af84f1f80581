// What other programs do in Redis and in SQL, and how both come together again.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "hearth/likes/like_reconciler.h"
#include "hearth/likes/stores/redis/redis_tail.h"
#include "hearth/likes/stores/redis/redis_test_stack.h"

namespace hearth::likes {
namespace {

using Names = std::vector<std::string>;

class RedisReconciler : public testing::TestWithParam<KeyLayout> {
 protected:
  RedisReconciler() {
    for (const char* name : {"ada", "bob", "eve"}) toggle("p", name);
    toggle("q", "ada");
    node->flush();
  }
  ~RedisReconciler() override {
    node.reset();
    ledger->stop();
  }

  redis::Reply redis(const std::vector<std::string_view>& words) { return server.run(words); }
  LikeOutcome toggle(const std::string& post_id, const std::string& session_id) {
    return must(run(node->store.change({.post = post(post_id), .session = session(session_id)})));
  }
  LikeView view(const std::string& post_id, const std::string& session_id) {
    return must(run(node->store.read({post(post_id)}, session(session_id)))).front();
  }
  Names rows(const std::string& post_id) {
    auto found = must(run(ledger->members(post_id)));
    EXPECT_EQ(found.head.likes, found.sessions.size());
    std::ranges::sort(found.sessions);
    return found.sessions;
  }
  std::string liked(const std::string& post_id) { return keys.liked(keys.partition_of(post_id), post_id); }
  std::string likes(const std::string& post_id) { return keys.likes(keys.partition_of(post_id), post_id); }
  ReconcileReport reconcile(std::optional<PostId> of = std::nullopt, Repairs repairs = Repairs::kMade) {
    return must(run(reconciler.reconcile(std::move(of), repairs)));
  }
  void expect_no_drift() {
    auto report = reconcile();
    EXPECT_EQ(report.drifted, 0u) << (report.drift.empty() ? "" : report.drift.front().post);
    for (const char* name : {"p", "q"}) EXPECT_EQ(reconcile(post(name)).drifted, 0u) << name;
  }

  // Another program adds members, and each is reconciled at once.
  Task<void> disturb() {
    for (int i = 0; i < 20; ++i) {
      redis({"SADD", liked("p"), "stranger" + std::to_string(i)});
      must(co_await reconciler.reconcile(post("p")));
    }
  }
  static Task<Result<void>> flush(RedisNode& node) { co_return node.try_flush(); }

  Loops loops{2};  // outlive the client that wakes them
  redis::RedisServer& server = shared_server();
  const std::string url = emptied(server);
  const RedisKeys keys{GetParam(), kTestPartitions};
  sqlite::TemporaryFolder folder;
  SimulatedClock clock;
  std::unique_ptr<SqliteLikeLedger> ledger = must(SqliteLikeLedger::open(folder.path() / "ratings.db"));
  std::unique_ptr<RedisNode> node = std::make_unique<RedisNode>(url, keys, *ledger, clock);
  LikeReconciler reconciler{node->store, node->posts, *ledger, [this] { return flush(*node); }};
};

INSTANTIATE_TEST_SUITE_P(Keys, RedisReconciler, testing::Values(KeyLayout::kPlain, KeyLayout::kTagged),
                         [](const auto& info) { return info.param == KeyLayout::kPlain ? "plain" : "tagged"; });

TEST_P(RedisReconciler, QuietLikesHaveNoDrift) {
  expect_no_drift();
  EXPECT_EQ(reconcile().checked, 2u);
}

TEST_P(RedisReconciler, MembersThatAnotherProgramAddedReachSql) {
  redis({"SADD", liked("p"), "zoe"});
  redis({"INCR", likes("p")});
  auto report = reconcile(std::nullopt, Repairs::kNone);
  EXPECT_EQ(report.drifted, 1u);
  EXPECT_EQ(report.repaired, 0u);
  ASSERT_EQ(report.drift.size(), 1u);
  EXPECT_EQ(report.drift[0].live, 4u);
  EXPECT_EQ(report.drift[0].sql, 3u);
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve"})) << "only reported";
  EXPECT_EQ(reconcile().repaired, 1u);
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve", "zoe"}));
  EXPECT_EQ(view("p", "zoe").likes, 4u);
  expect_no_drift();
  EXPECT_EQ(toggle("p", "zoe").likes, 3u);
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve"}));
  EXPECT_EQ(node->flusher.stats().gaps, 0u);
}

TEST_P(RedisReconciler, ACountThatAnotherProgramSetIsMadeThatOfTheMembers) {
  redis({"SET", likes("p"), "99"});
  EXPECT_EQ(view("p", "ada").likes, 99u);
  EXPECT_EQ(reconcile().repaired, 1u);
  EXPECT_EQ(view("p", "ada").likes, 3u);
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve"}));
  expect_no_drift();
}

TEST_P(RedisReconciler, PostsThatSqlDoesNotKnowAreFoundByTheirSets) {
  redis({"SADD", liked("new"), "ada", "bob"});
  redis({"SET", likes("new"), "2"});
  reconcile();
  node->flush();
  EXPECT_EQ(rows("new"), (Names{"ada", "bob"}));
  expect_no_drift();
}

TEST_P(RedisReconciler, APostThatWasAskedForBeforeAnotherProgramLikedItIsFoundToo) {
  EXPECT_EQ(view("late", "ada").likes, 0u);
  redis({"SADD", liked("late"), "ada"});
  redis({"INCR", likes("late")});
  EXPECT_EQ(reconcile().repaired, 1u);
  EXPECT_EQ(rows("late"), (Names{"ada"}));
  expect_no_drift();
  EXPECT_EQ(toggle("late", "bob").likes, 2u);
  node->flush();
  EXPECT_EQ(rows("late"), (Names{"ada", "bob"}));
}

TEST_P(RedisReconciler, RowsThatAreGoneComeBackWhileRedisKnowsThem) {
  auto head = must(run(ledger->heads({"p"}))).front();
  must(run(ledger->repair(head, {"ada"}, head.version)));
  EXPECT_EQ(reconcile().repaired, 1u);
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve"}));
  expect_no_drift();
}

TEST_P(RedisReconciler, SyncTakesThePostFromSql) {
  auto head = must(run(ledger->heads({"p"}))).front();
  must(run(ledger->repair(head, {"ada", "bob"}, head.version)));
  EXPECT_EQ(must(run(reconciler.sync(post("p")))), 2u);
  auto after = view("p", "eve");
  EXPECT_EQ(after.likes, 2u);
  EXPECT_FALSE(after.is_liked);
  EXPECT_GT(after.version, head.version) << "another count is another version";
  EXPECT_EQ(redis({"SCARD", keys.session(keys.partition_of("p"), "eve")}).integer, 0);
  expect_no_drift();
  EXPECT_EQ(toggle("p", "zoe").likes, 3u);
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "zoe"}));
}

TEST_P(RedisReconciler, InitializingTakesEveryPostFromSql) {
  redis({"SREM", liked("p"), "eve"});
  redis({"SET", likes("p"), "2"});
  auto report = must(run(reconciler.initialize()));
  EXPECT_EQ(report.posts, 2u);
  EXPECT_EQ(report.ratings, 4u);
  EXPECT_EQ(view("p", "eve").likes, 3u);
  expect_no_drift();
}

// The rank and a session's likes ask for what SQL does not have yet.
TEST_P(RedisReconciler, TheTailHoldsWhatSqlDoesNotHave) {
  RedisTail tail(node->outbox, *ledger);
  EXPECT_TRUE(must(run(tail.changed_posts())).empty());
  toggle("p", "ada");
  toggle("p", "zoe");
  toggle("q", "zoe");
  auto changed = must(run(tail.changed_posts()));
  ASSERT_EQ(changed.size(), 2u);
  for (const auto& one : changed) EXPECT_EQ(one.likes, one.post == "p" ? 3u : 2u);
  EXPECT_EQ(must(run(tail.events_of("zoe"))).size(), 2u);
  EXPECT_EQ(must(run(tail.events_of("ada"))).size(), 1u);
  node->flush();
  EXPECT_TRUE(must(run(tail.changed_posts())).empty());
  toggle("q", "ada");
  EXPECT_EQ(must(run(tail.changed_posts())).size(), 1u);
}

TEST_P(RedisReconciler, RowsOfAPostThatHasNoCountAreTakenFromSql) {
  EXPECT_EQ(view("rows", "ada").likes, 0u);  // looked up, and not known
  auto connection = must(sqlite::Connection::open({.path = folder.path() / "ratings.db"}));
  must(sqlite::Connection::guard([&] {
    connection.execute("INSERT INTO post_counts (post_id, likes, version) VALUES ('rows', 0, 0)");
    connection.execute("INSERT INTO ratings SELECT id, 'ada', 1 FROM post_counts WHERE post_id = 'rows'");
  }));
  EXPECT_EQ(reconcile(post("rows")).repaired, 1u);
  EXPECT_EQ(rows("rows"), (Names{"ada"}));
  EXPECT_EQ(view("rows", "ada").likes, 1u);
}

TEST_P(RedisReconciler, AKeyOfAnotherTypeKeepsNoOtherPostFromBeingRepaired) {
  redis({"DEL", liked("p")});
  redis({"SET", liked("p"), "not a set"});
  redis({"SADD", liked("q"), "zoe"});
  redis({"INCR", likes("q")});
  auto report = reconcile();
  EXPECT_EQ(rows("q"), (Names{"ada", "zoe"}));
  EXPECT_EQ(report.repaired, 1u);
}

// Taking a post from SQL again and again loses no like that comes meanwhile.
TEST_P(RedisReconciler, SyncingDoesNotLoseLikes) {
  auto like_all = [](LikeStore& store) -> Task<void> {
    for (int i = 0; i < 200; ++i) must(co_await store.change({.post = post("p"), .session = session("s" + std::to_string(i))}));
  };
  auto sync_all = [](LikeReconciler& taking) -> Task<void> {
    for (int i = 0; i < 30; ++i) {
      co_await taking.sync(post("p"));  // may find no quiet moment
      co_await taking.initialize();
    }
  };
  loops.spawn(0, like_all(node->store));
  loops.spawn(1, sync_all(reconciler));
  loops.run();
  node->flush();
  EXPECT_EQ(view("p", "s0").likes, 203u);
  EXPECT_EQ(rows("p").size(), 203u);
}

// Likes go on while every post is compared again and again.
TEST_P(RedisReconciler, RepairsDoNotRaceLikes) {
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("s" + std::to_string(i));
  auto like_all = [](LikeStore& store, Names sessions) -> Task<void> {
    for (int round = 0; round < 5; ++round) {
      for (const auto& name : sessions) must(co_await store.change({.post = post("p"), .session = session(name)}));
    }
  };
  loops.spawn(0, like_all(node->store, names));
  loops.spawn(1, disturb());
  loops.run();
  node->flush();
  reconcile();
  EXPECT_EQ(rows("p").size(), 3u + 40u + 20u);
  EXPECT_EQ(view("p", "s0").likes, 63u);
  EXPECT_EQ(redis({"SCARD", liked("p")}).integer, 63);
}

}  // namespace
}  // namespace hearth::likes
