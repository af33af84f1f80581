// The memory store against a std::map, with thousands of random operations, alone and from many threads.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/like_model.h"
#include "hearth/likes/test_stack.h"
#include "hearth/outbox/idempotency_index.h"

namespace hearth::likes {
namespace {

using std::chrono::microseconds;

const std::vector<std::string> kPosts = {"a", "b", "c", "550e8400-e29b-41d4-a716-446655440000", std::string(128, 'p'), "f"};
const std::vector<std::string> kSessions = {"ada",
                                            "bob",
                                            "550e8400-e29b-41d4-a716-446655440000",
                                            "550e8400-e29b-41d4-a716-446655440001",
                                            "a-name-of-22-bytes-123",
                                            std::string(128, 's'),
                                            "eve"};

constexpr std::uint64_t kLittleMemory = 11'000;  // the seven sessions take 10,000, all posts 2,000

// --- one caller ---

class ModelRun {
 public:
  ModelRun(std::uint64_t seed, std::uint64_t memory_limit) : random_(seed), memory_limit_(memory_limit) { restart(); }

  void step() {
    switch (pick(40)) {
      case 0:
        return stack_->flush();
      case 1:
      case 10:
        return evict();
      case 2:
        return step_clock();
      case 3:
        return clock_.advance(outbox::kIdempotencyPeriod + 2 * kClockStep);
      case 4:
        return stack_->store->prune_idempotency(), forget_old_keys();
      case 5:
        return pick(5) == 0 ? restart() : read_page();
      case 6:
      case 7:
        return batch();
      case 8:
      case 9:
        return read_page();
      default:
        clock_.advance(microseconds(pick(3)));
        check(next_change(), change_one);
    }
  }

  void compare_all() {
    LikeModel live = expect_sql_equals_live(*stack_, kPosts, kSessions);
    expect_same_likes(live, model_, "live state against the model");
    expect_same_lists(*stack_->ledger, kSessions);
    for (const auto& [post_id, known] : model_.posts) EXPECT_EQ(live.posts[post_id].version, known.version) << post_id;
  }

 private:
  static constexpr microseconds kClockStep{5'000'000};

  struct Answer {
    std::string request;
    LikeOutcome outcome;
    UtcMicros at{};
  };

  std::size_t pick(std::size_t below) { return random_() % below; }

  void restart() {
    if (stack_ && pick(2) == 0) stack_->flush();  // else the next start finds the ledger behind
    stack_.reset();
    stack_ = std::make_unique<TestStack>(folder_.path(), clock_,
                                         TestStack::Options{.vfs = disk_.name(), .store = {.memory_limit = memory_limit_}});
    forget_old_keys();
  }

  void evict() {
    stack_->flush();
    stack_->store->evict();
    EXPECT_LE(stack_->store->stats().bytes, memory_limit_);
    for (const auto& post_id : kPosts) {
      if (pick(4) == 0) EXPECT_TRUE(stack_->store->forget(post_id));
    }
  }

  // Back, or forward again: a key's age stays far from the period's end, where either answer would be right.
  void step_clock() {
    clock_.advance(is_clock_back_ ? kClockStep : -kClockStep);
    is_clock_back_ = !is_clock_back_;
  }

  void forget_old_keys() {
    std::erase_if(keys_, [&](const auto& entry) { return entry.second.at + outbox::kIdempotencyPeriod <= clock_.now(); });
  }

  LikeChange next_change() {
    LikeChange change{.post = post(kPosts[pick(kPosts.size())]),
                      .session = session(kSessions[pick(kSessions.size())]),
                      .action = static_cast<LikeAction>(pick(3))};
    if (pick(3) == 0) change.idempotency = IdempotencyKey{"key" + std::to_string(pick(10)), "request" + std::to_string(pick(2))};
    return change;
  }

  static std::vector<Result<LikeOutcome>> change_one(TestStack& stack, std::vector<LikeChange> changes) {
    return {stack.change(std::move(changes.front()))};
  }
  static std::vector<Result<LikeOutcome>> change_many(TestStack& stack, std::vector<LikeChange> changes) {
    return run(stack.store->change_all(std::move(changes)));
  }
  using Make = std::vector<Result<LikeOutcome>> (*)(TestStack&, std::vector<LikeChange>);

  void batch() {
    std::vector<LikeChange> changes;
    for (std::size_t i = pick(12); i > 0; --i) changes.push_back(next_change());
    check(std::move(changes), change_many);
  }
  void check(LikeChange change, Make make) { check(std::vector<LikeChange>{std::move(change)}, make); }

  void check(std::vector<LikeChange> changes, Make make) {
    auto outcomes = make(*stack_, changes);
    ASSERT_EQ(outcomes.size(), changes.size());
    bool is_refused = false;  // once one with a key is, all with keys that follow are
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (is_refused && changes[i].idempotency) {
        EXPECT_FALSE(outcomes[i]);
        continue;
      }
      check_one(changes[i], outcomes[i]);
      is_refused |= changes[i].idempotency && !outcomes[i];
    }
    if (changes.empty()) return;
    const std::string& post_id = changes.back().post.str();
    for (const auto& session_id : kSessions) check_view(post_id, session_id, stack_->view(post_id, session_id));
  }

  void check_one(const LikeChange& change, const Result<LikeOutcome>& outcome) {
    if (change.idempotency && replay(*change.idempotency, outcome)) return;
    ASSERT_TRUE(outcome) << outcome.error().message;
    bool changed = model_.apply(change.post.str(), change.session.str(), change.action);
    ModelPost& known = model_.posts[change.post.str()];
    EXPECT_EQ(outcome->changed, changed);
    EXPECT_FALSE(outcome->replayed);
    EXPECT_EQ(outcome->likes, known.sessions.size());
    EXPECT_EQ(outcome->is_liked, known.sessions.contains(change.session.str()));
    if (changed) {
      EXPECT_GT(outcome->version, known.version);
      known.version = outcome->version;
    } else {
      EXPECT_EQ(outcome->version, known.version);
    }
    if (change.idempotency) keys_[change.idempotency->scope] = {change.idempotency->request, *outcome, clock_.now()};
  }

  // Whether the key was taken; then the answer must be the first one again, or a refusal.
  bool replay(const IdempotencyKey& key, const Result<LikeOutcome>& outcome) {
    auto known = keys_.find(key.scope);
    if (known == keys_.end() || known->second.at + outbox::kIdempotencyPeriod <= clock_.now()) return false;
    if (known->second.request != key.request) {
      EXPECT_FALSE(outcome);
      if (!outcome) EXPECT_EQ(outcome.error().code, ErrorCode::kIdempotencyKeyReused);
      return true;
    }
    EXPECT_TRUE(outcome && outcome->replayed);
    if (!outcome) return true;
    EXPECT_EQ(outcome->likes, known->second.outcome.likes);
    EXPECT_EQ(outcome->version, known->second.outcome.version);
    EXPECT_EQ(outcome->is_liked, known->second.outcome.is_liked);
    EXPECT_EQ(outcome->changed, known->second.outcome.changed);
    return true;
  }

  void read_page() {
    std::vector<PostId> posts;
    std::vector<std::string> names;
    for (std::size_t i = pick(9); i > 0; --i) names.push_back(pick(8) == 0 ? "never-liked" : kPosts[pick(kPosts.size())]);
    for (const auto& name : names) posts.push_back(post(name));
    std::string reader = pick(4) == 0 ? "never-likes" : kSessions[pick(kSessions.size())];
    auto views = must(run(stack_->store->read(posts, session(reader))));
    ASSERT_EQ(views.size(), names.size());
    for (std::size_t i = 0; i < names.size(); ++i) check_view(names[i], reader, views[i]);
  }

  void check_view(const std::string& post_id, const std::string& session_id, const LikeView& view) {
    auto found = model_.posts.find(post_id);
    ModelPost known = found == model_.posts.end() ? ModelPost{} : found->second;
    EXPECT_EQ(view.likes, known.sessions.size()) << post_id;
    EXPECT_EQ(view.version, known.version) << post_id;
    EXPECT_EQ(view.is_liked, known.sessions.contains(session_id)) << post_id << " " << session_id;
  }

  std::mt19937_64 random_;
  const std::uint64_t memory_limit_;
  sqlite::TemporaryFolder folder_;
  sqlite::FaultVfs disk_;
  SimulatedClock clock_;
  bool is_clock_back_ = false;
  LikeModel model_;
  std::map<std::string, Answer> keys_;
  std::unique_ptr<TestStack> stack_;
};

void run_model(std::uint64_t memory_limit, int steps) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  ModelRun run(seed, memory_limit);
  for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    run.step();
    if (i % 100 == 99) run.compare_all();
  }
  run.compare_all();
}

TEST(MemoryLikeStoreModel, RandomOperationsAgreeWithAMap) {
  run_model(2ull << 30, 10'000);
}

// Not everything fits: posts and sessions leave and come back all the time.
TEST(MemoryLikeStoreModel, RandomOperationsWithLittleMemoryAgreeWithAMap) {
  run_model(kLittleMemory, 10'000);
}

// --- many callers ---

struct Caller {
  std::uint64_t seed = 0;
  int operations = 0;
  std::map<std::string, std::uint64_t> seen_versions;                        // by post: never goes back for one caller
  std::map<std::pair<std::string, std::string>, int> changes;                // by (post, session): how often this caller changed it
  std::map<std::string, std::set<std::pair<std::uint64_t, bool>>> versions;  // by post: of each change, with what it did
  std::string fault;
};

void note_version(Caller& caller, const std::string& post_id, std::uint64_t version) {
  auto& seen = caller.seen_versions[post_id];
  if (version < seen) caller.fault = post_id + ": version " + std::to_string(version) + " after " + std::to_string(seen);
  seen = std::max(seen, version);
}

void note_outcome(Caller& caller, const LikeChange& change, const Result<LikeOutcome>& outcome) {
  if (!outcome) {
    caller.fault = outcome.error().message;
    return;
  }
  note_version(caller, change.post.str(), outcome->version);
  if (!outcome->changed) return;
  ++caller.changes[{change.post.str(), change.session.str()}];
  caller.versions[change.post.str()].emplace(outcome->version, outcome->is_liked);
}

Task<void> operate(MemoryLikeStore& store, Caller& caller) {
  std::mt19937_64 random(caller.seed);
  auto next_change = [&random] {
    return LikeChange{.post = post(kPosts[random() % 3]),
                      .session = session(kSessions[random() % kSessions.size()]),
                      .action = static_cast<LikeAction>(random() % 3)};
  };
  for (int i = 0; i < caller.operations && caller.fault.empty(); ++i) {
    if (random() % 4 == 0) {
      std::vector<PostId> posts = {post("a"), post("b"), post("c")};
      auto views = co_await store.read(posts, session("ada"));
      if (!views) caller.fault = views.error().message;
      for (std::size_t p = 0; views && p < posts.size(); ++p) note_version(caller, posts[p].str(), (*views)[p].version);
    } else if (random() % 8 == 0) {
      std::vector<LikeChange> changes = {next_change(), next_change(), next_change()};
      auto outcomes = co_await store.change_all(changes);
      for (std::size_t c = 0; c < changes.size(); ++c) note_outcome(caller, changes[c], outcomes[c]);
    } else {
      LikeChange change = next_change();
      auto outcome = co_await store.change(change);
      note_outcome(caller, change, outcome);
    }
  }
}

// Flushes and lets posts leave while the callers go on.
Task<void> keep_house(TestStack& stack, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    stack.flush();
    stack.store->evict();
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
}

// What all callers together were told, added up.
void expect_parity(const std::vector<Caller>& callers, const LikeModel& live) {
  std::map<std::pair<std::string, std::string>, int> changes;
  std::map<std::string, std::set<std::uint64_t>> versions;
  for (const auto& caller : callers) {
    EXPECT_EQ(caller.fault, "");
    for (const auto& [place, count] : caller.changes) changes[place] += count;
    for (const auto& [post_id, made] : caller.versions) {
      for (auto [version, is_liked] : made) {
        EXPECT_TRUE(versions[post_id].insert(version).second) << post_id << ": two changes have version " << version;
      }
    }
  }
  for (const auto& [place, count] : changes) {
    EXPECT_EQ(live.is_liked(place.first, place.second), count % 2 == 1) << place.first << " " << place.second;
  }
  for (const auto& [post_id, made] : versions) EXPECT_EQ(live.posts.at(post_id).version, *made.rbegin()) << post_id;
}

void run_callers(std::uint64_t memory_limit) {
  constexpr int kCallers = 24;
  constexpr int kThreads = 8;
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  sqlite::TemporaryFolder folder;
  sqlite::FaultVfs disk;
  SystemClock clock;
  Loops loops(kThreads + 1);
  TestStack stack(folder.path(), clock, {.vfs = disk.name(), .store = {.memory_limit = memory_limit}});
  std::vector<Caller> callers(kCallers);
  for (int i = 0; i < kCallers; ++i) {
    callers[i].seed = seed + i;
    callers[i].operations = 400;
    loops.spawn(i % kThreads, operate(*stack.store, callers[i]));
  }
  loops.spawn(kThreads, keep_house(stack, 100));
  loops.run();
  expect_parity(callers, expect_sql_equals_live(stack, kPosts, kSessions));
}

TEST(MemoryLikeStoreModel, ManyCallersAtOnceEndInTheirParity) {
  run_callers(2ull << 30);
}

TEST(MemoryLikeStoreModel, ManyCallersWithLittleMemoryEndInTheirParity) {
  run_callers(kLittleMemory);
}

}  // namespace
}  // namespace hearth::likes
