#include "hearth/likes/stores/memory_like_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/forwarding_ledger.h"
#include "hearth/likes/like_model.h"
#include "hearth/likes/like_store_conformance.h"
#include "hearth/likes/test_stack.h"
#include "hearth/outbox/wait_queue.h"

namespace hearth::likes {
namespace {

class MemoryStoreUnderTest final : public LikeStoreUnderTest {
 public:
  MemoryStoreUnderTest() { restart(); }
  LikeStore& store() override { return *stack_->store; }
  void restart() override {
    stack_.reset();
    stack_ = std::make_unique<TestStack>(folder_.path(), clock_, TestStack::Options{.vfs = disk_.name()});
  }

 private:
  sqlite::TemporaryFolder folder_;
  sqlite::FaultVfs disk_;  // its syncs cost nothing
  SimulatedClock clock_;
  std::unique_ptr<TestStack> stack_;
};

INSTANTIATE_TEST_SUITE_P(Memory, LikeStoreConformance,
                         testing::Values(LikeStoreMaker{"memory", [] { return std::make_unique<MemoryStoreUnderTest>(); }}), name_of_maker);

// A ledger whose answers can be kept back after they were read.
class SlowLedger final : public ForwardingLedger {
 public:
  SlowLedger(LikeLedger& ledger, Executor executor) : ForwardingLedger(ledger), gate_(executor, released_) {}

  enum class Hold : std::uint8_t { kNothing, kHeads, kMembers };
  void hold(Hold hold) { hold_ = hold; }
  bool has_held() const { return held_ > 0; }
  void release() {
    hold_ = Hold::kNothing;
    released_ = 1;
    gate_.notify();
  }

  Task<Result<std::vector<LedgerPost>>> heads(std::vector<std::string> posts) override {
    auto heads = co_await ForwardingLedger::heads(std::move(posts));
    if (hold_ == Hold::kHeads) co_await wait();
    co_return heads;
  }
  Task<Result<LedgerMembers>> members(std::string post) override {
    auto members = co_await ForwardingLedger::members(std::move(post));
    if (hold_ == Hold::kMembers) co_await wait();
    co_return members;
  }

 private:
  Task<void> wait() {
    ++held_;
    co_await gate_.wait(1);
  }

  Hold hold_ = Hold::kNothing;
  int held_ = 0;
  std::atomic<std::uint64_t> released_{0};
  outbox::WaitQueue gate_;
};

class MemoryLikeStoreTest : public testing::Test {
 protected:
  std::unique_ptr<TestStack> open(std::uint64_t memory_limit = 2ull << 30) {
    auto wrap = [this](LikeLedger& ledger) {
      auto wrapped = std::make_unique<SlowLedger>(ledger, loops[0].get_executor());
      slow_ledger = wrapped.get();
      return wrapped;
    };
    return std::make_unique<TestStack>(
        folder.path(), clock, TestStack::Options{.vfs = disk.name(), .store = {.memory_limit = memory_limit}, .wrap_ledger = wrap});
  }
  // Runs SQL on the ledger's file, behind Hearth's back.
  void corrupt(const char* sql) {
    auto connection = must(sqlite::Connection::open({.path = folder.path() / "ratings.db", .vfs = disk.name()}));
    must(sqlite::Connection::guard([&] { connection.execute(sql); }));
  }
  auto start_change(TestStack& stack, LikeChange change) { return start(loops[0], stack.store->change(std::move(change))); }

  Loops loops;
  sqlite::TemporaryFolder folder;
  sqlite::FaultVfs disk;
  SimulatedClock clock;
  SlowLedger* slow_ledger = nullptr;  // the newest stack's
};

using Hold = SlowLedger::Hold;

// --- leaving memory ---

TEST_F(MemoryLikeStoreTest, PostsLeaveMemoryAndComeBackRight) {
  constexpr std::uint64_t kLimit = 100'000;
  auto stack = open(kLimit);
  LikeModel model;
  std::vector<std::string> posts;
  std::vector<std::string> sessions;
  for (int i = 0; i < 20; ++i) sessions.push_back("a-session-with-a-long-name-" + std::to_string(i));
  for (int i = 0; i < 1'000; ++i) {
    posts.push_back("post" + std::to_string(i));
    for (int s = 0; s <= i % 3; ++s) {
      stack->toggle(posts[i], sessions[(i + s) % 20]);
      model.apply(posts[i], sessions[(i + s) % 20], LikeAction::kLike);
    }
    if (i % 20 != 19) continue;
    stack->flush();
    stack->store->evict();
    EXPECT_LE(stack->store->stats().bytes, kLimit);
  }
  EXPECT_GT(stack->store->stats().evictions, 100u);
  for (const auto& post_id : posts) {
    for (const auto& session_id : {sessions[0], sessions[7]}) {
      auto view = stack->view(post_id, session_id);
      EXPECT_EQ(view.likes, model.posts[post_id].sessions.size());
      EXPECT_EQ(view.is_liked, model.is_liked(post_id, session_id));
    }
    stack->store->evict();
  }
  expect_same_likes(read_ledger(*stack->ledger), model, "SQL against the model");
}

TEST_F(MemoryLikeStoreTest, APostThatIsNotFlushedStays) {
  auto stack = open(/*memory_limit=*/30'000);
  for (int i = 0; i < 30; ++i) stack->toggle("p", "session" + std::to_string(i));
  ASSERT_GT(stack->store->stats().bytes, 30'000u);
  EXPECT_EQ(stack->store->evict(), 0u);
  EXPECT_FALSE(stack->store->forget("p"));
  EXPECT_TRUE(stack->store->is_dirty("p"));
  EXPECT_EQ(stack->view("p", "session3").likes, 30u);
  stack->flush();
  EXPECT_FALSE(stack->store->is_dirty("p"));
  stack->store->evict();
  EXPECT_LE(stack->store->stats().bytes, 30'000u);
  EXPECT_EQ(stack->view("p", "session3").likes, 30u);
}

// A burst that pins more than the limit is refused at last, and all is well again once it was flushed.
TEST_F(MemoryLikeStoreTest, FullMemoryRefusesUntilSomethingCanLeave) {
  auto stack = open(/*memory_limit=*/200'000);
  int liked = 0;
  Result<LikeOutcome> outcome;
  while ((outcome = stack->change({.post = post("post" + std::to_string(liked)), .session = session("session" + std::to_string(liked))})))
    ++liked;
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
  EXPECT_GT(liked, 100);
  EXPECT_EQ(stack->view("post0", "session0").likes, 1u) << "what is in memory goes on";
  stack->flush();
  stack->store->evict();
  stack->toggle("post" + std::to_string(liked), "ada");
  EXPECT_TRUE(stack->view("post0", "session0").is_liked);
}

// The same with many sessions on a post that is in memory already: those changes are not refused.
TEST_F(MemoryLikeStoreTest, ManySessionsGiveTheirMemoryBack) {
  auto stack = open(/*memory_limit=*/200'000);
  for (int i = 0; i < 20'000; i += 1'000) {
    std::vector<LikeChange> changes;
    for (int j = i; j < i + 1'000; ++j) changes.push_back({.post = post("p"), .session = session("session" + std::to_string(j))});
    for (auto& outcome : run(stack->store->change_all(std::move(changes)))) must(outcome);
  }
  EXPECT_GT(stack->store->stats().bytes, 400'000u);
  stack->flush();
  stack->store->evict();
  EXPECT_LE(stack->store->stats().bytes, 200'000u);
  EXPECT_EQ(stack->toggle("q", "ada").likes, 1u);
  EXPECT_EQ(must(run(stack->store->read({post("p")}, std::nullopt))).front().likes, 20'000u);
}

TEST_F(MemoryLikeStoreTest, WhatIsForgottenCostsNothing) {
  auto stack = open();
  for (int i = 0; i < 500; ++i) {
    stack->toggle("a-post-with-a-long-name-" + std::to_string(i % 50), "a-session-with-a-long-name-" + std::to_string(i));
    if (i % 3 == 0) stack->toggle("a-post-with-a-long-name-" + std::to_string(i % 50), "a-session-with-a-long-name-" + std::to_string(i));
  }
  stack->flush();
  for (int i = 0; i < 50; ++i) {
    if (i % 2 == 0) stack->view("a-post-with-a-long-name-" + std::to_string(i), "nobody");
    EXPECT_TRUE(stack->store->forget("a-post-with-a-long-name-" + std::to_string(i)));
  }
  auto stats = stack->store->stats();
  EXPECT_EQ(stats.bytes, 0u);
  EXPECT_EQ(stats.posts, 0u);
  EXPECT_EQ(stats.sessions, 0u);
  EXPECT_EQ(stats.cold_posts, 50u);
}

// --- loading while others go on ---

// The load of `p` has read the ledger when others load the count, like the post, and see its sessions leave memory again.
std::uint64_t load_slowly_while_others_like(TestStack& stack, SlowLedger& ledger, Loops& loops, Result<LikeOutcome>& outcome) {
  stack.toggle("p", "ada");
  stack.toggle("p", "ada");
  stack.flush();
  EXPECT_TRUE(stack.store->forget("p"));
  ledger.hold(Hold::kMembers);
  auto slow = start(loops[0], stack.store->change({.post = post("p"), .session = session("bob")}));
  loops.poll_until([&] { return ledger.has_held(); });
  EXPECT_EQ(must(run(stack.store->read({post("p")}, std::nullopt))).front().likes, 0u);
  EXPECT_EQ(stack.toggle("p", "eve").likes, 1u);
  stack.flush();
  std::uint64_t bytes = stack.store->stats().bytes;
  stack.store->evict();
  ledger.release();
  loops.poll_until([&] { return slow->is_answered(); });
  outcome = *slow->answer;
  return bytes;
}

TEST_F(MemoryLikeStoreTest, ASlowLoadDoesNotUndoWhatCameAndLeftMeanwhile) {
  std::uint64_t bytes = 0;
  Result<LikeOutcome> outcome;
  {
    auto stack = open();
    bytes = load_slowly_while_others_like(*stack, *slow_ledger, loops, outcome);
    EXPECT_EQ(must(outcome).likes, 2u);
    stack->toggle("p", "eve");
    stack->toggle("p", "bob");
  }
  auto stack = open(/*memory_limit=*/bytes - 1);  // the sessions of the post leave, and it stays
  load_slowly_while_others_like(*stack, *slow_ledger, loops, outcome);
  EXPECT_EQ(must(outcome).likes, 2u);
  EXPECT_EQ(stack->store->stats().evictions, 0u);
  expect_sql_equals_live(*stack, {"p"}, {"ada", "bob", "eve"});
}

TEST_F(MemoryLikeStoreTest, ALoadThatBeganBeforeAPostWasForgottenBeginsAgain) {
  auto stack = open();
  stack->toggle("p", "ada");
  stack->flush();
  ASSERT_TRUE(stack->store->forget("p"));
  slow_ledger->hold(Hold::kHeads);
  auto slow = start(loops[0], stack->store->read({post("p")}, std::nullopt));
  loops.poll_until([&] { return slow_ledger->has_held(); });
  auto head = must(run(stack->ledger->heads({"p"}))).front();
  ASSERT_TRUE(must(run(stack->ledger->repair(head, {"ada", "bob"}, head.version + 1))));
  ASSERT_TRUE(stack->store->forget("p"));
  slow_ledger->release();
  loops.poll_until([&] { return slow->is_answered(); });
  EXPECT_EQ(must(*slow->answer).front().likes, 2u);
  EXPECT_EQ(stack->view("p", "bob").likes, 2u);
}

// --- answers wait for the disk ---

TEST_F(MemoryLikeStoreTest, NothingIsAnsweredFromAChangeThatIsNotOnDisk) {
  auto stack = open();
  stack->toggle("p", "ada");
  disk.hold_syncs("journal.db");
  auto liked = start_change(*stack, {.post = post("p"), .session = session("bob"), .idempotency = IdempotencyKey{"key", "body"}});
  loops.poll();
  disk.wait_until_held();
  auto read = start(loops[0], stack->store->read({post("p")}, session("ada")));
  auto page = start(loops[0], stack->store->read({post("q"), post("p")}, std::nullopt));
  auto unchanged = start_change(*stack, {.post = post("p"), .session = session("bob"), .action = LikeAction::kLike});
  auto replayed = start_change(*stack, {.post = post("p"), .session = session("bob"), .idempotency = IdempotencyKey{"key", "body"}});
  auto refused = start_change(*stack, {.post = post("p"), .session = session("bob"), .idempotency = IdempotencyKey{"key", "other"}});
  auto other_post = start(loops[0], stack->store->read({post("q")}, session("ada")));
  loops.poll();
  EXPECT_FALSE(liked->is_answered());
  EXPECT_FALSE(read->is_answered());
  EXPECT_FALSE(page->is_answered());
  EXPECT_FALSE(unchanged->is_answered());
  EXPECT_FALSE(replayed->is_answered());
  EXPECT_FALSE(refused->is_answered()) << "that the key is taken may still be lost";
  EXPECT_TRUE(other_post->is_answered()) << "it waits for nothing";

  disk.release_syncs();
  loops.run();
  EXPECT_EQ(must(*liked->answer).likes, 2u);
  EXPECT_EQ(must(*read->answer).front().likes, 2u);
  EXPECT_EQ(must(*page->answer).back().likes, 2u);
  EXPECT_FALSE(must(*unchanged->answer).changed);
  EXPECT_TRUE(must(*replayed->answer).replayed);
  EXPECT_EQ(refused->answer->error().code, ErrorCode::kIdempotencyKeyReused);
}

TEST_F(MemoryLikeStoreTest, WhatALostBatchTouchedIsAsItWasBefore) {
  auto stack = open();
  stack->toggle("p", "ada");
  auto before = stack->view("p", "ada");
  disk.hold_syncs("journal.db");
  auto liked = start_change(*stack, {.post = post("p"), .session = session("bob"), .idempotency = IdempotencyKey{"key", "body"}});
  auto fresh = start_change(*stack, {.post = post("new"), .session = session("bob")});
  loops.poll();
  disk.wait_until_held();
  auto filling = start_change(*stack, {.post = post("p"), .session = session("eve")});  // in the batch behind
  auto read = start(loops[0], stack->store->read({post("p")}, session("ada")));
  auto refused = start_change(*stack, {.post = post("p"), .session = session("bob"), .idempotency = IdempotencyKey{"key", "other"}});
  loops.poll();
  disk.inject({.kind = sqlite::FaultKind::kSyncError, .files = "journal.db"});
  disk.release_syncs();
  loops.run();
  for (const auto& failed : {liked, fresh, filling, refused}) {
    ASSERT_FALSE(*failed->answer);
    EXPECT_EQ(failed->answer->error().code, ErrorCode::kUnavailable);
  }
  EXPECT_FALSE(*read->answer);

  loops.poll_until([&] { return stack->journal->is_accepting(); });
  EXPECT_FALSE(stack->read("p", "ada")) << "the ledger does not have the first like yet";
  stack->flush();
  auto after = stack->view("p", "ada");
  EXPECT_EQ(after.likes, 1u);
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(stack->view("new", "bob").likes, 0u);
  auto again = must(stack->change({.post = post("p"), .session = session("bob"), .idempotency = IdempotencyKey{"key", "other"}}));
  EXPECT_FALSE(again.replayed) << "the lost change has not taken the key";
  EXPECT_EQ(again.likes, 2u);
  EXPECT_EQ(stack->store->dirty_above(1, 10), std::vector<std::string>{"p"});
  expect_sql_equals_live(*stack, {"p", "new"}, {"ada", "bob", "eve"});
}

TEST_F(MemoryLikeStoreTest, APostThatIsLikedAgainAfterALossIsListedOnce) {
  auto stack = open();
  disk.inject({.kind = sqlite::FaultKind::kSyncError, .files = "journal.db"});
  EXPECT_FALSE(stack->change({.post = post("p"), .session = session("ada")}));
  loops.poll_until([&] { return stack->journal->is_accepting(); });
  stack->passed();
  must(stack->flusher->run_once());
  stack->store->on_passed(stack->flusher->flushed() - 1);  // the loss itself is not passed
  stack->store->on_passed(stack->flusher->flushed());
  stack->toggle("p", "ada");
  EXPECT_EQ(stack->store->dirty_above(1, 10), std::vector<std::string>{"p"});
}

// --- a ledger that others wrote to ---

TEST_F(MemoryLikeStoreTest, AWrongCountInTheLedgerIsPutRightByItsRows) {
  auto stack = open();
  stack->toggle("p", "ada");
  stack->flush();
  ASSERT_TRUE(stack->store->forget("p"));
  corrupt("UPDATE post_counts SET likes = 4294967295");
  EXPECT_EQ(stack->view("p", "ada").likes, 1u);
  EXPECT_EQ(stack->toggle("p", "bob").likes, 2u);
}

TEST_F(MemoryLikeStoreTest, RowsThatHearthCannotHaveWrittenDoNoHarm) {
  auto stack = open();
  const std::string uuid = "550e8400-e29b-41d4-a716-446655440000";
  stack->toggle("p", uuid);
  stack->flush();
  ASSERT_TRUE(stack->store->forget("p"));
  corrupt(
      "INSERT INTO ratings VALUES (1, '550e8400-e29b-41d4-a716-446655440000', 1), (1, '', 1), (1, 'with space', 1), (1, 7, 1), (1, x'00', "
      "1),"
      "(1, printf('%.*c', 300, 'x'), 1)");
  EXPECT_TRUE(stack->view("p", uuid).is_liked);
  EXPECT_EQ(stack->view("p", uuid).likes, 2u) << "the session, once, and \"7\"";
  EXPECT_EQ(stack->toggle("p", uuid).likes, 1u);
  stack->flush();
  ASSERT_TRUE(stack->store->forget("p"));
  EXPECT_EQ(stack->store->stats().sessions, 0u);
}

}  // namespace
}  // namespace hearth::likes
