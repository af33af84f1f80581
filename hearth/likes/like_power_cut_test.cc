// Power cuts: what was answered is there, and nobody was told of what is not. The disk forgets what was not synced.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/likes/like_model.h"
#include "hearth/likes/test_world.h"

namespace hearth::likes {
namespace {

using sqlite::FaultKind;

const std::vector<std::string> kPosts = {"a", "b", "c"};
constexpr int kWriters = 6;
constexpr int kReaders = 3;

// --- under load ---

struct Progress {
  std::atomic<int> answers = 0;  // to changes
  std::atomic<bool> is_cut = false;
};

// What one caller was told until the power went.
struct Told {
  std::map<std::string, std::map<std::uint64_t, std::uint32_t>> counts;  // by post and version
  std::map<std::string, bool> likes;                                     // of a writer: as answered
  std::string unknown;                                                   // a writer's post whose change failed: either state is right
};

Task<void> like_until_the_cut(MemoryLikeStore& store, std::string name, std::uint64_t seed, Told& told, Progress& progress) {
  std::mt19937_64 random(seed);
  for (;;) {
    std::string post_id = kPosts[random() % kPosts.size()];
    LikeChange change{.post = post(post_id), .session = session(name)};
    if (random() % 4 == 0) change.idempotency = IdempotencyKey{name + std::to_string(random()), "request"};
    auto outcome = co_await store.change(std::move(change));
    if (!outcome) {
      told.unknown = post_id;
      co_return;
    }
    ++progress.answers;
    told.likes[post_id] = outcome->is_liked;
    told.counts[post_id][outcome->version] = outcome->likes;
  }
}

// Goes on for a while: what is in memory can still be read, and must still be true.
Task<void> read_until_the_cut(MemoryLikeStore& store, Told& told, const Progress& progress) {
  for (int after_cut = 0; after_cut < 20; after_cut += progress.is_cut ? 1 : 0) {
    auto views = co_await store.read({post("a"), post("b"), post("c")}, std::nullopt);
    if (!views) co_return;
    for (std::size_t i = 0; i < kPosts.size(); ++i) told.counts[kPosts[i]][(*views)[i].version] = (*views)[i].likes;
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
}

// Flushes, and cuts the power after `answers_max` answers.
Task<void> flush_and_cut(World& world, Progress& progress, int answers_max, int flush_every) {
  for (int flushed_at = 0; progress.answers < answers_max;) {
    if (progress.answers - flushed_at >= flush_every) {
      flushed_at = progress.answers;
      (void)world.stack->try_flush();
      for (const auto& post_id : kPosts) world.stack->store->forget(post_id);
    }
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
  world.disk.cut();
  progress.is_cut = true;
}

void expect_as_told(const LikeModel& live, const std::vector<Told>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string name = "caller" + std::to_string(i);
    for (const auto& [post_id, is_liked] : all[i].likes) {
      if (post_id != all[i].unknown) EXPECT_EQ(live.is_liked(post_id, name), is_liked) << name << " " << post_id;
    }
    for (const auto& [post_id, counts] : all[i].counts) {
      auto [newest, likes] = *counts.rbegin();
      const auto& found = live.posts.at(post_id);
      EXPECT_GE(found.version, newest) << name << " was shown a newer " << post_id;
      if (found.version == newest) EXPECT_EQ(found.sessions.size(), likes) << name << " was shown another " << post_id;
    }
  }
}

void cut_under_load(std::uint64_t seed, bool keeps_some) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  World world;
  std::vector<Told> told(kWriters + kReaders);
  std::vector<std::string> names;
  Progress progress;
  for (int i = 0; i < kWriters + kReaders; ++i) {
    names.push_back("caller" + std::to_string(i));
    if (i < kWriters) {
      world.loops.spawn(i % 3, like_until_the_cut(*world.stack->store, names[i], seed + i, told[i], progress));
    } else {
      world.loops.spawn(i % 3, read_until_the_cut(*world.stack->store, told[i], progress));
    }
  }
  world.loops.spawn(3, flush_and_cut(world, progress, static_cast<int>(random() % 300), static_cast<int>(random() % 40 + 5)));
  world.loops.run();
  world.lose_power(keeps_some ? std::optional(random()) : std::nullopt);
  expect_as_told(expect_sql_equals_live(*world.stack, kPosts, names), told);
}

TEST(LikePowerCut, WhatWasAnsweredOrShownUnderLoadIsThere) {
  std::uint64_t seed = fresh_seed();
  for (int round = 0; round < 40 && !testing::Test::HasFailure(); ++round) cut_under_load(seed + round, false);
}

TEST(LikePowerCut, TheSameWhenTheDiskKeptSomeOfTheRest) {
  std::uint64_t seed = fresh_seed();
  for (int round = 0; round < 40 && !testing::Test::HasFailure(); ++round) cut_under_load(seed + round, true);
}

// --- a change that is in memory and not on disk ---

TEST(LikePowerCut, AReaderIsNotToldOfAChangeThatIsTakenBack) {
  World world;
  world.stack->toggle("a", "ada");
  auto before = world.stack->view("a", "ada");
  world.disk.hold_syncs("journal.db");
  auto liked = start(world.loops[0], world.stack->store->change({.post = post("a"), .session = session("bob")}));
  world.loops.poll();
  world.disk.wait_until_held();
  auto read = start(world.loops[0], world.stack->store->read({post("a")}, session("bob")));
  world.loops.poll();
  EXPECT_FALSE(read->is_answered());
  EXPECT_FALSE(liked->is_answered());
  world.disk.cut();
  world.loops.run();
  EXPECT_FALSE(*read->answer);
  EXPECT_FALSE(*liked->answer);
  world.lose_power();
  auto after = world.stack->view("a", "bob");
  EXPECT_EQ(after.likes, before.likes);
  EXPECT_EQ(after.version, before.version);
  EXPECT_FALSE(after.is_liked);
}

// The sync failed, everyone was told so, others went on: the failed batch must not come back with the next start.
TEST(LikePowerCut, AFailedBatchDoesNotComeBackOnceOthersWereAnswered) {
  for (int keep = 0; keep < 20; ++keep) {
    World world;
    world.stack->toggle("a", "ada");
    world.disk.inject({.kind = FaultKind::kSyncError, .files = "journal.db"});
    EXPECT_FALSE(world.stack->change({.post = post("a"), .session = session("bob")}));
    world.recover();
    auto shown = world.stack->view("a", "bob");
    EXPECT_EQ(shown.likes, 1u);
    world.lose_power(keep == 0 ? std::nullopt : std::optional<std::uint64_t>(keep));
    auto after = world.stack->view("a", "bob");
    EXPECT_EQ(after.likes, shown.likes);
    EXPECT_EQ(after.version, shown.version);
    EXPECT_FALSE(after.is_liked);
  }
}

// --- one caller, whose every state is known ---

// The states that likes went through, one after the other.
class History {
 public:
  explicit History(World& world) : world_(world) { states_.emplace_back(); }

  void toggle(std::uint64_t random) {
    const std::string& post_id = kPosts[random % kPosts.size()];
    std::string session_id = "session" + std::to_string(random / 8 % 6);
    must(world_.stack->change({.post = post(post_id), .session = session(session_id)}));
    LikeModel next = states_.back();
    next.apply(post_id, session_id, LikeAction::kToggle);
    states_.push_back(std::move(next));
  }
  std::size_t now() const { return states_.size() - 1; }

  // Likes are as they were at some moment from `first` on.
  void expect_at_or_after(std::size_t first) {
    std::vector<std::string> sessions;
    for (int i = 0; i < 6; ++i) sessions.push_back("session" + std::to_string(i));
    LikeModel live = expect_sql_equals_live(*world_.stack, kPosts, sessions);
    expect_same_lists(*world_.stack->ledger, sessions);
    for (std::size_t i = first; i < states_.size(); ++i) {
      if (is_same(live, states_[i])) return;
    }
    ADD_FAILURE() << "likes are as at no moment from " << first << " to " << now();
  }

 private:
  static bool is_same(const LikeModel& a, const LikeModel& b) {
    for (const auto& post_id : kPosts) {
      auto of = [&](const LikeModel& model) {
        auto found = model.posts.find(post_id);
        return found == model.posts.end() ? std::set<std::string>() : found->second.sessions;
      };
      if (of(a) != of(b)) return false;
    }
    return true;
  }

  World& world_;
  std::vector<LikeModel> states_;
};

TEST(LikePowerCut, RelaxedLosesAtMostWhatCameAfterTheLastSync) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int round = 0; round < 10; ++round) {
    std::mt19937_64 random(seed + round);
    World world({.durability = outbox::Durability::kRelaxed});
    History history(world);
    for (int i = 0; i < 20; ++i) history.toggle(random());
    if (round % 2 == 0) world.stack->flush();
    std::size_t synced = history.now();
    auto syncs = world.disk.counts("journal.db-wal").syncs;
    while (world.disk.counts("journal.db-wal").syncs == syncs) {  // one that began after `synced`
      history.toggle(random());
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    world.disk.hold_syncs("journal.db-wal");
    for (int i = 0; i < 10; ++i) history.toggle(random());
    if (round % 3 == 0) world.stack->flush();  // the ledger may then have more than the journal
    world.lose_power(round % 4 < 2 ? std::nullopt : std::optional(random()));
    history.expect_at_or_after(synced);
  }
}

TEST(LikePowerCut, InTheMiddleOfAFlushLedgerAndJournalAgreeAfterwards) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  bool met = true;
  for (std::uint64_t nth = 1; met && !testing::Test::HasFailure(); ++nth) {
    SCOPED_TRACE("write " + std::to_string(nth));
    std::mt19937_64 random(seed);
    World world;
    History history(world);
    for (int i = 0; i < 10; ++i) history.toggle(random());
    world.stack->flush();
    for (int i = 0; i < 10; ++i) history.toggle(random());
    world.disk.inject({.kind = FaultKind::kTornWrite, .files = "ratings.db", .nth = nth, .is_lasting = true});
    world.disk.inject({.kind = FaultKind::kSyncError, .files = "ratings.db", .nth = nth, .is_lasting = true});
    (void)world.stack->try_flush();
    met = world.disk.faults_met() > 0;
    world.disk.cut();
    world.disk.heal();
    world.lose_power(nth % 2 == 0 ? std::nullopt : std::optional(random()));
    history.expect_at_or_after(history.now());
  }
}

TEST(LikePowerCut, WhileTheLedgersSyncLasts) {
  World world;
  History history(world);
  for (int i = 0; i < 10; ++i) history.toggle(i * 7);
  world.disk.hold_syncs("ratings.db");
  std::thread flushing([&] { (void)world.stack->flusher->run_once(); });
  world.disk.wait_until_held();
  world.disk.cut();
  flushing.join();
  world.lose_power();
  history.expect_at_or_after(history.now());
}

// The stop copies the logs into the database files; the power goes at its n-th write.
TEST(LikePowerCut, InTheMiddleOfACheckpointLedgerAndJournalAgreeAfterwards) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  bool met = true;
  for (std::uint64_t nth = 1; met && !testing::Test::HasFailure(); ++nth) {
    SCOPED_TRACE("write " + std::to_string(nth));
    std::mt19937_64 random(seed);
    World world;
    History history(world);
    for (int i = 0; i < 10; ++i) history.toggle(random());
    world.stack->flush();
    for (int i = 0; i < 10; ++i) history.toggle(random());
    world.stack->journal->stop();
    auto already_met = world.disk.faults_met();
    world.disk.inject({.kind = FaultKind::kTornWrite, .nth = nth, .is_lasting = true});
    world.disk.inject({.kind = FaultKind::kSyncError, .nth = nth, .is_lasting = true});
    world.stack.reset();
    met = world.disk.faults_met() > already_met;
    world.disk.cut();
    world.disk.heal();
    world.lose_power(random());
    history.expect_at_or_after(history.now());
  }
}

// --- keys ---

TEST(LikePowerCut, AKeyThatWasAnsweredNeverCountsTwice) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int round = 0; round < 20; ++round) {
    std::mt19937_64 random(seed + round);
    World world;
    std::vector<LikeOutcome> first;
    auto change = [](int i) {
      return LikeChange{.post = post("a"),
                        .session = session("session" + std::to_string(i % 3)),
                        .idempotency = IdempotencyKey{"key" + std::to_string(i), "request"}};
    };
    for (int i = 0; i < 9; ++i) {
      first.push_back(must(world.stack->change(change(i))));
      if (random() % 4 == 0) world.stack->flush();
    }
    world.lose_power(random());
    auto before = world.stack->view("a", "session0");
    for (int i = 0; i < 9; ++i) {
      auto again = must(world.stack->change(change(i)));
      EXPECT_TRUE(again.replayed);
      EXPECT_EQ(again.version, first[i].version);
      EXPECT_EQ(again.likes, first[i].likes);
    }
    auto after = world.stack->view("a", "session0");
    EXPECT_EQ(after.version, before.version);
    EXPECT_EQ(after.likes, before.likes);
  }
}

}  // namespace
}  // namespace hearth::likes
