#pragma once

// For tests: likes in a std::map, the plainest thing that can be right, and comparisons of live state and SQL with it.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "hearth/likes/test_stack.h"

namespace hearth::likes {

// Another one each time; to repeat a run, give the seed that it printed as --gtest_random_seed.
inline std::uint64_t fresh_seed() {
  int wanted = testing::UnitTest::GetInstance()->random_seed();
  return wanted != 0 ? static_cast<std::uint64_t>(wanted) : std::random_device()() % 100'000;
}

struct ModelPost {
  std::set<std::string> sessions;
  std::uint64_t version = 0;
};

struct LikeModel {
  std::map<std::string, ModelPost> posts;

  bool is_liked(const std::string& post_id, const std::string& session_id) const {
    auto found = posts.find(post_id);
    return found != posts.end() && found->second.sessions.contains(session_id);
  }
  // Makes the change; says whether it changed anything.
  bool apply(const std::string& post_id, const std::string& session_id, LikeAction action) {
    bool was_liked = is_liked(post_id, session_id);
    bool is_liked_now = action == LikeAction::kToggle ? !was_liked : action == LikeAction::kLike;
    if (is_liked_now == was_liked) return false;
    auto& sessions = posts[post_id].sessions;
    is_liked_now ? (void)sessions.insert(session_id) : (void)sessions.erase(session_id);
    return true;
  }
};

// What SQL says: each post with its rows, checked to be as many as its count.
inline LikeModel read_ledger(LikeLedger& ledger) {
  LikeModel found;
  std::string after;
  for (;;) {
    auto page = must(run(ledger.audit(after, 100)));
    if (page.empty()) return found;
    for (const auto& audited : page) {
      auto members = must(run(ledger.members(audited.head.post)));
      EXPECT_EQ(audited.head.likes, audited.rows) << audited.head.post << ": the ledger's count is not that of its rows";
      std::set<std::string> sessions(members.sessions.begin(), members.sessions.end());
      EXPECT_EQ(sessions.size(), members.sessions.size()) << audited.head.post << ": a session has two rows";
      found.posts[audited.head.post] = {std::move(sessions), audited.head.version};
    }
    after = page.back().head.post;
  }
}

// Live state as a reader sees it: the posts, asked session by session.
inline LikeModel read_live(TestStack& stack, const std::vector<std::string>& posts, const std::vector<std::string>& sessions) {
  LikeModel found;
  for (const auto& post_id : posts) {
    ModelPost& seen = found.posts[post_id];
    for (const auto& session_id : sessions) {
      LikeView view = stack.view(post_id, session_id);
      if (view.is_liked) seen.sessions.insert(session_id);
      seen.version = view.version;
    }
    EXPECT_EQ(stack.view(post_id, sessions.front()).likes, seen.sessions.size()) << post_id << ": count and members differ";
  }
  return found;
}

// `found` has the posts and sessions of `model`. Posts that nobody likes may be missing from either.
inline void expect_same_likes(const LikeModel& found, const LikeModel& model, const std::string& what) {
  for (const auto* side : {&found, &model}) {
    for (const auto& [post_id, unused] : side->posts) {
      auto sessions_in = [&](const LikeModel& likes) {
        auto there = likes.posts.find(post_id);
        return there == likes.posts.end() ? std::set<std::string>() : there->second.sessions;
      };
      EXPECT_EQ(sessions_in(found), sessions_in(model)) << what << ": " << post_id;
    }
  }
}

// What the ledger lists for each session is what it lists for each post. REQUIRES: everything is flushed.
inline void expect_same_lists(LikeLedger& ledger, const std::vector<std::string>& sessions) {
  LikeModel by_post = read_ledger(ledger);
  for (const auto& session_id : sessions) {
    std::set<std::string> listed;
    for (const auto& like : must(run(ledger.likes_of(session_id, kLikesPerSessionMax, [] { return std::vector<TailEvent>(); })))) {
      EXPECT_TRUE(listed.insert(like.post).second) << session_id << " likes " << like.post << " twice";
    }
    for (const auto& [post_id, unused] : by_post.posts) {
      EXPECT_EQ(listed.contains(post_id), by_post.is_liked(post_id, session_id)) << session_id << " and " << post_id;
    }
  }
}

// Flushes, and expects SQL and live state to be the same to the last version.
inline LikeModel expect_sql_equals_live(TestStack& stack, const std::vector<std::string>& posts, const std::vector<std::string>& sessions) {
  stack.flush();
  LikeModel live = read_live(stack, posts, sessions);
  LikeModel sql = read_ledger(*stack.ledger);
  expect_same_likes(sql, live, "SQL against live state");
  for (const auto& [post_id, seen] : live.posts) EXPECT_EQ(sql.posts[post_id].version, seen.version) << post_id << ": versions differ";
  return live;
}

}  // namespace hearth::likes
