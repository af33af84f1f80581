#include "hearth/likes/stores/redis/redis_like_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/like_store_conformance.h"
#include "hearth/likes/stores/redis/redis_test_stack.h"

namespace hearth::likes {
namespace {

class RedisStoreUnderTest final : public LikeStoreUnderTest {
 public:
  RedisStoreUnderTest(std::string url, KeyLayout layout, redis::RedisServer* server)
      : url_(std::move(url)), keys_(layout, kTestPartitions), server_(server) {
    open();
  }
  ~RedisStoreUnderTest() override {
    node_.reset();
    ledger_->stop();
  }

  LikeStore& store() override { return node_->store; }
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
    if (!ledger_) ledger_ = must(SqliteLikeLedger::open(folder_.path() / "ratings.db"));
    node_ = std::make_unique<RedisNode>(url_, keys_, *ledger_, clock_);
  }

  const std::string url_;
  const RedisKeys keys_;
  redis::RedisServer* const server_;
  sqlite::TemporaryFolder folder_;
  SimulatedClock clock_;
  std::unique_ptr<SqliteLikeLedger> ledger_;
  std::unique_ptr<RedisNode> node_;
};

std::unique_ptr<LikeStoreUnderTest> on_one_server(KeyLayout layout) {
  auto& server = shared_server();
  return std::make_unique<RedisStoreUnderTest>(emptied(server), layout, &server);
}

INSTANTIATE_TEST_SUITE_P(Redis, LikeStoreConformance,
                         testing::Values(LikeStoreMaker{"plain", [] { return on_one_server(KeyLayout::kPlain); }},
                                         LikeStoreMaker{"tagged", [] { return on_one_server(KeyLayout::kTagged); }},
                                         LikeStoreMaker{"cluster",
                                                        [] {
                                                          return std::make_unique<RedisStoreUnderTest>(emptied(shared_cluster()),
                                                                                                       KeyLayout::kTagged, nullptr);
                                                        }}),
                         name_of_maker);

class RedisLikeStoreTest : public testing::Test {
 protected:
  ~RedisLikeStoreTest() override {
    node.reset();
    ledger->stop();
  }
  redis::Reply redis(const std::vector<std::string_view>& words) { return server.run(words); }
  std::string text(std::string_view key) { return redis({"GET", key}).text; }
  std::vector<std::string> members(std::string_view key) {
    std::vector<std::string> found;
    for (auto& element : redis({"SMEMBERS", key}).elements) found.push_back(element.text);
    std::ranges::sort(found);
    return found;
  }
  LikeOutcome toggle(const std::string& post_id, const std::string& session_id) {
    return must(run(node->store.change({.post = post(post_id), .session = session(session_id)})));
  }
  LikeView view(const std::string& post_id, const std::string& session_id) {
    return must(run(node->store.read({post(post_id)}, session(session_id)))).front();
  }
  std::vector<std::string> rows(const std::string& post_id) {
    auto found = must(run(ledger->members(post_id))).sessions;
    std::ranges::sort(found);
    return found;
  }

  using Names = std::vector<std::string>;
  redis::RedisServer& server = shared_server();
  const std::string url = emptied(server);
  const RedisKeys keys{KeyLayout::kPlain, kTestPartitions};
  sqlite::TemporaryFolder folder;
  SimulatedClock clock;
  std::unique_ptr<SqliteLikeLedger> ledger = must(SqliteLikeLedger::open(folder.path() / "ratings.db"));
  std::unique_ptr<RedisNode> node = std::make_unique<RedisNode>(url, keys, *ledger, clock);
};

TEST_F(RedisLikeStoreTest, OtherProgramsReadTheDocumentedKeys) {
  toggle("p", "ada");
  auto last = toggle("p", "bob");
  toggle("q", "ada");
  EXPECT_EQ(text("post:likes:p"), "2");
  EXPECT_EQ(members("post:liked:p"), (Names{"ada", "bob"}));
  EXPECT_EQ(members("session:likes:ada"), (Names{"p", "q"}));
  EXPECT_EQ(text("post:version:p"), std::to_string(last.version));
  auto stream = keys.stream(keys.partition_of("p"));
  EXPECT_EQ(redis({"TYPE", stream}).text, "stream");
  toggle("p", "ada");
  EXPECT_EQ(text("post:likes:p"), "1");
  EXPECT_EQ(members("session:likes:ada"), (Names{"q"}));
}

TEST_F(RedisLikeStoreTest, TaggedKeysOfAPostShareTheirPartitionsSlot) {
  RedisKeys tagged(KeyLayout::kTagged, 16);
  auto partition = tagged.partition_of("p{1}");
  auto slot = redis::slot_of(tagged.stream(partition));
  for (const auto& key : {tagged.likes(partition, "p"), tagged.liked(partition, "p"), tagged.version(partition, "p"),
                          tagged.session(partition, "ada"), tagged.record(partition, "{scope}"), tagged.staging(partition, "1")})
    EXPECT_EQ(redis::slot_of(key), slot) << key;
}

TEST_F(RedisLikeStoreTest, WhatAnotherProgramAddsShowsAtOnceAndReachesSql) {
  toggle("p", "ada");
  redis({"EVAL", "redis.call('SADD', KEYS[1], 'zoe'); redis.call('INCR', KEYS[2])", "2", "post:liked:p", "post:likes:p"});
  EXPECT_EQ(view("p", "zoe").likes, 2u);
  EXPECT_TRUE(view("p", "zoe").is_liked);
  EXPECT_EQ(toggle("p", "bob").likes, 3u);
}

TEST_F(RedisLikeStoreTest, APostThatAnotherProgramMadeIsTakenUpWithItsMembers) {
  redis({"SADD", "post:liked:new", "ada", "bob"});
  redis({"SET", "post:likes:new", "2"});
  EXPECT_EQ(toggle("new", "zoe").likes, 3u);
  node->flush();
  EXPECT_EQ(rows("new"), (Names{"ada", "bob", "zoe"}));
  EXPECT_EQ(members("session:likes:ada"), (Names{"new"}));
}

TEST_F(RedisLikeStoreTest, AColdPostComesFromSqlWithAllItsMembers) {
  std::vector<LikeChange> changes;
  for (int i = 0; i < 1'000; ++i) changes.push_back({.post = post("p"), .session = session("s" + std::to_string(i))});
  for (auto& outcome : run(node->store.change_all(changes))) must(std::move(outcome));
  for (int i = 0; i < 1'000; ++i) changes[static_cast<std::size_t>(i)].session = session("t" + std::to_string(i));
  for (auto& outcome : run(node->store.change_all(changes))) must(std::move(outcome));
  auto before = view("p", "s7");
  node->flush();
  redis({"FLUSHALL"});
  auto after = view("p", "s7");
  EXPECT_EQ(after.likes, 2'000u);
  EXPECT_EQ(after.version, before.version);
  EXPECT_TRUE(after.is_liked);
  EXPECT_EQ(redis({"SCARD", "post:liked:p"}).integer, 2'000);
  EXPECT_EQ(members("session:likes:s999"), (Names{"p"}));
  EXPECT_EQ(toggle("p", "s7").likes, 1'999u);
}

TEST_F(RedisLikeStoreTest, AKeyOfAnotherTypeRefusesTheChangeAndNothingIsHalfDone) {
  toggle("p", "ada");
  for (const std::string& key : {std::string("session:likes:bob"), std::string("post:liked:q"), keys.stream(keys.partition_of("r"))}) {
    redis({"DEL", key});
    redis({"SET", key, "not what it should be"});
    std::string post_id = key == "post:liked:q" ? "q" : key == "session:likes:bob" ? "p" : "r";
    EXPECT_FALSE(run(node->store.change({.post = post(post_id), .session = session("bob")}))) << key;
    EXPECT_EQ(redis({"SISMEMBER", key == "post:liked:q" ? "post:liked:p" : "post:liked:" + post_id, "bob"}).integer, 0) << key;
    EXPECT_EQ(text(key), "not what it should be");
    redis({"DEL", key});
  }
  EXPECT_EQ(text("post:likes:p"), "1");
}

TEST_F(RedisLikeStoreTest, WithoutMemoryChangesAreRefusedAndReadsGoOn) {
  toggle("p", "ada");
  redis({"CONFIG", "SET", "maxmemory", "1"});
  auto refused = run(node->store.change({.post = post("p"), .session = session("bob")}));
  auto unlike = run(node->store.change({.post = post("p"), .session = session("ada")}));
  redis({"CONFIG", "SET", "maxmemory", "0"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  ASSERT_FALSE(unlike);
  EXPECT_EQ(view("p", "ada").likes, 1u);
  EXPECT_EQ(members("session:likes:ada"), (Names{"p"}));
}

TEST_F(RedisLikeStoreTest, AFullOutboxRefusesChanges) {
  node->store.set_outbox_full(true);
  auto refused = run(node->store.change({.post = post("p"), .session = session("ada")}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(view("p", "ada").likes, 0u);
}

TEST_F(RedisLikeStoreTest, VersionsAreMicrosecondsToTheLastDigit) {
  clock.advance(std::chrono::microseconds(1));
  auto outcome = toggle("p", "ada");
  EXPECT_EQ(outcome.version, static_cast<std::uint64_t>(clock.now().time_since_epoch().count()));
  EXPECT_EQ(toggle("p", "ada").version, outcome.version + 1) << "the clock stands still";
}

TEST_F(RedisLikeStoreTest, ScriptsAreSentAgainAfterRedisHasForgottenThem) {
  toggle("p", "ada");
  redis({"SCRIPT", "FLUSH"});
  EXPECT_EQ(toggle("p", "bob").likes, 2u);
}

// --- the flusher ---

TEST_F(RedisLikeStoreTest, SqlFollowsAndTheStreamIsTrimmedUpToTheCursor) {
  for (const char* name : {"ada", "bob", "eve"}) toggle("p", name);
  toggle("p", "bob");
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "eve"}));
  auto head = must(run(ledger->heads({"p"}))).front();
  EXPECT_EQ(head.likes, 2u);
  EXPECT_EQ(head.version, view("p", "ada").version);
  EXPECT_EQ(redis({"XLEN", keys.stream(keys.partition_of("p"))}).integer, 1);
  EXPECT_EQ(node->flusher.stats().gaps, 0u);
  toggle("p", "zoe");
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "eve", "zoe"}));
}

TEST_F(RedisLikeStoreTest, AMissingEventMakesTheWholePostBeCopied) {
  toggle("p", "ada");
  node->flush();
  toggle("p", "bob");
  auto stream = keys.stream(keys.partition_of("p"));
  auto lost = redis({"XREVRANGE", stream, "+", "-", "COUNT", "1"}).elements[0].elements[0].text;
  toggle("p", "eve");
  redis({"XDEL", stream, lost});
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve"}));
  EXPECT_EQ(node->flusher.stats().gaps, 1u);
  EXPECT_EQ(must(run(ledger->heads({"p"}))).front().version, view("p", "ada").version);
}

TEST_F(RedisLikeStoreTest, ARedisThatComesBackOlderTakesWhatSqlHas) {
  toggle("p", "ada");
  toggle("q", "ada");
  node->flush();
  // What a restart from an older file would have: neither the last likes nor their events.
  auto dump = [&](const std::string& key) { return redis({"DUMP", key}).text; };
  const std::vector<std::string> all = {"post:likes:p", "post:liked:p", "post:version:p", "session:likes:ada",
                                        keys.stream(keys.partition_of("p"))};
  std::vector<std::string> old;
  for (const auto& key : all) old.push_back(dump(key));
  toggle("p", "bob");
  toggle("p", "eve");
  node->flush();
  for (std::size_t i = 0; i < all.size(); ++i) redis({"RESTORE", all[i], "0", old[i], "REPLACE"});
  EXPECT_EQ(view("p", "bob").likes, 1u);
  EXPECT_TRUE(must(node->check.run(RedisNode::held(keys.partition_of("p")))));
  EXPECT_EQ(view("p", "bob").likes, 3u);
  EXPECT_TRUE(view("p", "bob").is_liked);
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve"}));
  EXPECT_EQ(toggle("p", "zoe").likes, 4u);
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve", "zoe"}));
}

TEST_F(RedisLikeStoreTest, ANewerPostInAStreamThatIsAnotherOneIsCopiedToSql) {
  toggle("p", "ada");
  node->flush();
  toggle("p", "bob");
  redis({"DEL", keys.stream(keys.partition_of("p"))});
  EXPECT_TRUE(must(node->check.run(RedisNode::held(keys.partition_of("p")))));
  EXPECT_EQ(rows("p"), (Names{"ada", "bob"}));
  toggle("p", "eve");
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "bob", "eve"}));
}

TEST_F(RedisLikeStoreTest, EntriesOfOtherProgramsInTheStreamArePassedOver) {
  toggle("p", "ada");
  redis({"XADD", keys.stream(keys.partition_of("p")), "*", "something", "else", "and", "more"});
  redis({"XADD", keys.stream(keys.partition_of("p")), "*", "e", "p bob 12 nonsense"});
  toggle("p", "eve");
  node->flush();
  EXPECT_EQ(rows("p"), (Names{"ada", "eve"}));
}

}  // namespace
}  // namespace hearth::likes
