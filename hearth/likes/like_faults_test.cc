// Likes on a disk whose n-th write or sync fails, for every n until a run passes clean.

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <map>
#include <ostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/likes/like_model.h"
#include "hearth/likes/test_world.h"

namespace hearth::likes {
namespace {

using sqlite::Fault;
using sqlite::FaultKind;

const std::vector<std::string> kPosts = {"a", "b", "c"};
const std::vector<std::string> kSessions = {"ada", "bob", "550e8400-e29b-41d4-a716-446655440000"};
constexpr int kSteps = 24;

// Random changes, each checked; what failed must not be seen by anyone afterwards.
class FaultRun {
 public:
  explicit FaultRun(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < 4; ++i) step();
    world.stack->flush();
  }

  void step() {
    world.clock.advance(std::chrono::microseconds(random_() % 2));
    std::string post_id = kPosts[random_() % kPosts.size()];
    std::string session_id = kSessions[random_() % kSessions.size()];
    auto outcome = world.stack->change({.post = post(post_id), .session = session(session_id)});
    ++(outcome ? succeeded : failed);
    if (outcome) {
      model.apply(post_id, session_id, LikeAction::kToggle);
      EXPECT_GT(outcome->version, model.posts[post_id].version);
      model.posts[post_id].version = outcome->version;
    } else {
      EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable) << outcome.error().message;
    }
    check(post_id, session_id);
    if (!outcome && !is_lasting) world.recover();
    if (random_() % 5 == 0) flush();
  }

  void flush() {
    if (!world.stack->try_flush()) ++failed_flushes;
    for (const auto& post_id : kPosts) world.stack->store->forget(post_id);
  }

  // A reader either gets no answer or the one that the model has.
  void check(const std::string& post_id, const std::string& session_id) {
    auto view = world.stack->read(post_id, session_id);
    if (!view) {
      EXPECT_EQ(view.error().code, ErrorCode::kUnavailable) << view.error().message;
      if (is_lasting) return;
      world.recover();
      view = world.stack->read(post_id, session_id);
    }
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(view->likes, model.posts[post_id].sessions.size()) << post_id;
    EXPECT_EQ(view->version, model.posts[post_id].version) << post_id;
    EXPECT_EQ(view->is_liked, model.is_liked(post_id, session_id)) << post_id;
  }

  void check_all(const std::string& when) {
    SCOPED_TRACE(when);
    LikeModel live = expect_sql_equals_live(*world.stack, kPosts, kSessions);
    expect_same_likes(live, model, "live state against what was answered");
    expect_same_lists(*world.stack->ledger, kSessions);
    for (const auto& post_id : kPosts) EXPECT_EQ(live.posts[post_id].version, model.posts[post_id].version) << post_id;
  }

  World world;
  LikeModel model;
  bool is_lasting = false;
  int succeeded = 0;
  int failed = 0;
  int failed_flushes = 0;

 private:
  std::mt19937_64 random_;
};

struct Sweep {
  const char* name;
  FaultKind kind;
  const char* files;
};
void PrintTo(const Sweep& sweep, std::ostream* out) {
  *out << sweep.name;
}

class LikeFaults : public testing::TestWithParam<Sweep> {};

// The fault may meet a change, a trim, a flush, the checkpoint of the stop, or the next start.
TEST_P(LikeFaults, TheNthFailureLosesNothingThatWasAnswered) {
  const auto& sweep = GetParam();
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  bool met = true;
  for (std::uint64_t nth = 1; met && !HasFailure(); ++nth) {
    SCOPED_TRACE("failure " + std::to_string(nth));
    FaultRun run(seed);
    run.world.disk.inject({.kind = sweep.kind, .files = sweep.files, .nth = nth});
    for (int i = 0; i < kSteps; ++i) run.step();
    if (std::string_view(sweep.files) == "ratings.db") {
      EXPECT_EQ(run.failed, 0) << "likes go on while SQL is away";
    } else {
      EXPECT_LE(run.failed, 1);
    }
    if (run.world.disk.faults_met() > 0) {
      run.step();  // behind it the failure is over, also that of a trim
      run.world.recover();
      run.check_all("at the end");
    }
    run.world.restart_despite_faults();
    run.world.disk.heal();
    met = run.world.disk.faults_met() > 0;
    run.step();
    run.world.recover();
    run.check_all("after a restart");
    run.step();
    run.world.lose_power();
    run.check_all("after a power cut");
  }
}

INSTANTIATE_TEST_SUITE_P(Disk, LikeFaults,
                         testing::Values(Sweep{"JournalWrite", FaultKind::kWriteError, "journal.db"},
                                         Sweep{"JournalTornWrite", FaultKind::kTornWrite, "journal.db"},
                                         Sweep{"JournalFull", FaultKind::kDiskFull, "journal.db"},
                                         Sweep{"JournalSync", FaultKind::kSyncError, "journal.db"},
                                         Sweep{"RatingsWrite", FaultKind::kWriteError, "ratings.db"},
                                         Sweep{"RatingsTornWrite", FaultKind::kTornWrite, "ratings.db"},
                                         Sweep{"RatingsFull", FaultKind::kDiskFull, "ratings.db"},
                                         Sweep{"RatingsSync", FaultKind::kSyncError, "ratings.db"}),
                         [](const auto& info) { return std::string(info.param.name); });

// The disk fails for a while: changes are refused, nothing is lost, and all goes on when it is well again.
TEST(LikeFaultsThatLast, ChangesAreRefusedUntilTheDiskIsWell) {
  for (FaultKind kind : {FaultKind::kWriteError, FaultKind::kSyncError, FaultKind::kDiskFull}) {
    FaultRun run(7);
    run.is_lasting = true;
    run.world.disk.inject({.kind = kind, .files = "journal.db", .nth = 2, .is_lasting = true});
    for (int i = 0; i < 10; ++i) run.step();
    EXPECT_GE(run.failed, 9);
    run.world.disk.heal();
    run.is_lasting = false;
    run.world.recover();
    run.check_all("after the disk was healed");
    int succeeded = run.succeeded;
    for (int i = 0; i < 10; ++i) run.step();
    EXPECT_EQ(run.succeeded, succeeded + 10);
    run.world.lose_power();
    run.check_all("after a power cut");
  }
}

TEST(LikeFaultsThatLast, LikesGoOnWhileSqlIsAwayAndAreFlushedLater) {
  FaultRun run(7);
  run.world.disk.inject({.kind = FaultKind::kDiskFull, .files = "ratings.db", .is_lasting = true});
  for (int i = 0; i < 100; ++i) run.step();
  EXPECT_EQ(run.failed, 0);
  EXPECT_GT(run.failed_flushes, 0);
  EXPECT_THROW(run.world.restart(), std::runtime_error) << "it does not serve what it cannot bring together";
  run.world.disk.heal();
  run.world.open();
  run.check_all("after SQL came back");
}

TEST(LikeFaultsThatLast, AFullOutboxRefusesChangesAndDrainsLater) {
  World world({.outbox_bytes_max = 2'000});
  world.disk.inject({.kind = FaultKind::kSyncError, .files = "ratings.db", .is_lasting = true});
  LikeModel model;
  Result<LikeOutcome> outcome;
  int liked = 0;
  for (;; ++liked) {
    std::string session_id = "session" + std::to_string(liked);
    outcome = world.stack->change({.post = post("p"), .session = session(session_id)});
    if (!outcome) break;
    model.apply("p", session_id, LikeAction::kToggle);
    EXPECT_FALSE(world.stack->try_flush());
  }
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
  EXPECT_GT(liked, 10);
  EXPECT_EQ(world.stack->view("p", "session0").likes, static_cast<std::uint32_t>(liked)) << "reads go on";
  world.disk.heal();
  world.stack->flush();
  EXPECT_EQ(world.stack->toggle("p", "late").likes, static_cast<std::uint32_t>(liked + 1));
  model.apply("p", "late", LikeAction::kToggle);
  world.stack->flush();
  expect_same_likes(read_ledger(*world.stack->ledger), model, "SQL against what was answered");
}

// --- many callers ---

// One who likes under one name, knows therefore what to find, and goes on when something fails.
struct Caller {
  std::string name;
  std::uint64_t seed = 0;
  int operations = 0;
  std::map<std::string, bool> likes;                                     // as answered
  std::map<std::string, std::uint64_t> seen_versions;                    // the newest that was shown
  std::map<std::string, std::map<std::uint64_t, std::uint32_t>> counts;  // by post and version, as shown
  int failures = 0;
  std::string fault;
};

void note(Caller& caller, const std::string& post_id, std::uint64_t version, std::uint32_t likes, bool is_liked) {
  auto& seen = caller.seen_versions[post_id];
  if (version < seen) caller.fault = post_id + ": version " + std::to_string(version) + " after " + std::to_string(seen);
  seen = std::max(seen, version);
  auto [known, is_new] = caller.counts[post_id].emplace(version, likes);
  if (!is_new && known->second != likes) caller.fault = post_id + ": two counts of version " + std::to_string(version);
  if (is_liked != caller.likes[post_id]) caller.fault = post_id + ": not as it was answered";
}

Task<void> like_and_check(MemoryLikeStore& store, Caller& caller) {
  std::mt19937_64 random(caller.seed);
  for (int i = 0; i < caller.operations && caller.fault.empty(); ++i) {
    std::string post_id = kPosts[random() % kPosts.size()];
    auto outcome = co_await store.change({.post = post(post_id), .session = session(caller.name)});
    if (outcome) {
      caller.likes[post_id] = !caller.likes[post_id];
      note(caller, post_id, outcome->version, outcome->likes, outcome->is_liked);
    } else {
      ++caller.failures;
    }
    auto views = co_await store.read({post(post_id)}, session(caller.name));
    if (views) {
      note(caller, post_id, views->front().version, views->front().likes, views->front().is_liked);
    } else {
      ++caller.failures;
    }
    // Leaves the loop to others, also while everything is refused at once.
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
}

Task<void> flush_with_faults(World& world, std::uint64_t seed, int rounds) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < rounds; ++i) {
    if (random() % 8 == 0) {
      FaultKind kind =
          std::vector{FaultKind::kSyncError, FaultKind::kWriteError, FaultKind::kTornWrite, FaultKind::kDiskFull}[random() % 4];
      world.disk.inject({.kind = kind, .files = random() % 3 == 0 ? "ratings.db" : "journal.db", .nth = random() % 20 + 1});
    }
    (void)world.stack->try_flush();
    for (const auto& post_id : kPosts) world.stack->store->forget(post_id);
    co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
  }
}

TEST(LikeFaultsUnderLoad, NobodySeesWhatWasNotAnswered) {
  constexpr int kCallers = 12;
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  World world;
  std::vector<Caller> callers(kCallers);
  for (int i = 0; i < kCallers; ++i) {
    callers[i].name = "caller" + std::to_string(i);
    callers[i].seed = seed + i;
    callers[i].operations = 500;
    world.loops.spawn(i % 3, like_and_check(*world.stack->store, callers[i]));
  }
  world.loops.spawn(3, flush_with_faults(world, seed, 400));
  world.loops.run();
  EXPECT_GT(world.disk.faults_met(), 0u);
  world.disk.heal();
  world.recover();
  LikeModel model;
  std::map<std::string, std::map<std::uint64_t, std::uint32_t>> counts;
  std::vector<std::string> names;
  for (const auto& caller : callers) {
    EXPECT_EQ(caller.fault, "") << caller.name;
    names.push_back(caller.name);
    for (const auto& [post_id, is_liked] : caller.likes) {
      if (is_liked) model.apply(post_id, caller.name, LikeAction::kLike);
    }
    for (const auto& [post_id, seen] : caller.counts) {
      for (auto [version, likes] : seen) EXPECT_EQ(counts[post_id].emplace(version, likes).first->second, likes) << post_id;
    }
  }
  expect_same_likes(expect_sql_equals_live(*world.stack, kPosts, names), model, "live state against what was answered");
  world.lose_power();
  LikeModel after = expect_sql_equals_live(*world.stack, kPosts, names);
  expect_same_likes(after, model, "after a power cut");
  for (const auto& [post_id, seen] : counts) EXPECT_GE(after.posts[post_id].version, seen.rbegin()->first) << post_id;
}

}  // namespace
}  // namespace hearth::likes
