#pragma once

// What every RankCandidates promises (rank.h), as tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "hearth/content/content_under_test.h"

namespace hearth::content {

class RankConformance : public ContentConformance {
 protected:
  std::vector<std::string> rank(RankOrder order, std::size_t limit) {
    auto candidates = run(content->rank(always(live))->collect(order, limit)).value();
    std::vector<std::uint32_t> likes;
    for (const Post& post : candidates) likes.push_back(live->likes[post.id.str()]);
    std::vector<std::string> ids;
    for (std::size_t index : ranked(order, candidates, likes, clock.now(), limit)) ids.push_back(candidates[index].id.str());
    return ids;
  }

  // What the rank is by definition: all posts, sorted by live count.
  std::vector<std::string> rank_of_all(std::size_t limit) {
    std::vector<std::tuple<std::uint32_t, UtcMicros, std::string>> all;
    for (const auto& [id, at] : created) all.emplace_back(live->likes[id], at, id);
    std::ranges::sort(all, std::greater());
    std::vector<std::string> ids;
    for (const auto& [likes, at, id] : all) {
      if (ids.size() < limit) ids.push_back(id);
    }
    return ids;
  }

  std::shared_ptr<LikesInTest> live = std::make_shared<LikesInTest>();
  std::map<std::string, UtcMicros> created;
};

TEST_P(RankConformance, AnEmptyTableHasNoRank) {
  EXPECT_TRUE(rank(RankOrder::kLikes, 50).empty());
}

TEST_P(RankConformance, IsTheSameAsSortingAllPostsByLiveCount) {
  std::mt19937_64 random(20'261'120);
  add_user("ada");
  for (int i = 0; i < 200; ++i) {
    std::string id = "aBz_~"[i % 5] + std::to_string(i);  // order is of bytes, not of a language
    created[id] = clock.now() + std::chrono::seconds(random() % 30);
    add_post(id, "ada", created[id]);
  }
  for (int round = 0; round < 150; ++round) {
    // Few different counts, so that ties are many; from hardly any to nearly all posts are dirty.
    std::uint32_t spread = 1 + random() % 40;
    std::uint32_t dirty_percent = random() % 101;
    live->dirty.clear();
    live->likes.clear();
    std::map<std::string, std::uint32_t> projected;
    for (const auto& [id, at] : created) {
      live->likes[id] = projected[id] = random() % spread;
      if (random() % 100 >= dirty_percent) continue;
      live->dirty.insert(id);
      live->likes[id] = random() % (spread + 5);
    }
    content->project(projected);
    for (int i = 0; i < 50; ++i) {  // liked, dirty, and unknown here
      std::string id = "elsewhere" + std::to_string(i);
      live->dirty.insert(id);
      live->likes[id] = random() % (spread + 20);
    }
    for (std::size_t limit : {1, 3, 50, 100}) {
      ASSERT_EQ(rank(RankOrder::kLikes, limit), rank_of_all(limit)) << "round " << round << ", limit " << limit;
    }
  }
}

TEST_P(RankConformance, APostThatWasJustLikedIsFoundBehindManyThatAreUnknownHere) {
  add_user("ada");
  for (int i = 0; i < 10; ++i) {
    std::string id = "p" + std::to_string(i);
    add_post(id);
    content->project({{id, 5}});
    live->likes[id] = 5;
  }
  add_post("late");
  content->project({{"late", 0}});
  live->likes["late"] = 6;
  live->dirty.insert("late");
  for (std::size_t i = 0; i < kRankDirtyFirst + 200; ++i) {
    std::string id = "elsewhere" + std::to_string(i);
    live->likes[id] = 1'000;
    live->dirty.insert(id);
  }
  EXPECT_EQ(rank(RankOrder::kLikes, 1), std::vector<std::string>{"late"});
}

TEST_P(RankConformance, HotPrefersTheYoungerOfTwoAndTheLikedOfTwoYoungOnes) {
  add_user("ada");
  auto add = [&](const char* id, std::chrono::hours age, std::uint32_t likes) {
    add_post(id, "ada", clock.now() - age);
    content->project({{id, likes}});
    live->likes[id] = likes;
  };
  add("old", std::chrono::hours(48), 100);
  add("young", std::chrono::hours(1), 20);
  add("young_and_liked", std::chrono::hours(1), 21);
  add("new", std::chrono::hours(0), 0);
  add("ahead", std::chrono::hours(-5), 9);
  EXPECT_EQ(rank(RankOrder::kHot, 10), (std::vector<std::string>{"young_and_liked", "young", "ahead", "old", "new"}));
}

TEST_P(RankConformance, TheWalkIsRepeatedWhenSqlLearnedOfChangesMeanwhile) {
  add_user("ada");
  for (const char* id : {"a", "b", "c"}) add_post(id);
  content->project({{"a", 2}, {"b", 1}, {"c", 0}});
  live->likes = {{"a", 2}, {"b", 1}, {"c", 9}};
  live->dirty = {"c"};
  // SQL gets c's likes, and c stops being dirty, just after the first walk took its snapshot.
  live->when_first_looked_at = [&] {
    content->project({{"c", 9}});
    live->dirty.clear();
  };
  EXPECT_EQ(rank(RankOrder::kLikes, 1), std::vector<std::string>{"c"});
}

TEST_P(RankConformance, APostThatStopsBeingDirtyWhenAskedIsCleanInSql) {
  add_user("ada");
  for (const char* id : {"a", "b", "c"}) add_post(id);
  content->project({{"a", 2}, {"b", 1}, {"c", 0}});
  live->likes = {{"a", 2}, {"b", 1}, {"c", 9}};
  // The last moment at which SQL may learn of a change that the answer does not call dirty.
  auto answer = always(live);
  auto flush_and_answer = [&] {
    content->project({{"c", 9}});
    return answer();
  };
  auto candidates = run(content->rank(flush_and_answer)->collect(RankOrder::kLikes, 1)).value();
  EXPECT_TRUE(std::ranges::any_of(candidates, [](const Post& post) { return post.id.view() == "c"; }));
}

static Task<Result<std::shared_ptr<const DirtyPosts>>> cannot_say() {
  co_return fail(ErrorCode::kUnavailable, "away");
}

TEST_P(RankConformance, WithoutKnowingWhatIsDirtyThereIsNoRank) {
  add_user("ada");
  add_post("p");
  auto candidates = run(content->rank(cannot_say)->collect(RankOrder::kLikes, 1));
  ASSERT_FALSE(candidates);
  EXPECT_EQ(candidates.error().code, ErrorCode::kUnavailable);
}

}  // namespace hearth::content
