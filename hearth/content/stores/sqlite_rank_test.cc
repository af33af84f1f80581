#include "hearth/content/stores/sqlite_rank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "hearth/content/content_fixture.h"

namespace hearth::content {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

// Live state as a map; a post is dirty when its count is not the projected one, or for no reason.
class SqliteRankTest : public ContentTest, protected DirtyPosts {
 protected:
  bool is_dirty(std::string_view post) const override {
    if (on_is_dirty) std::exchange(on_is_dirty, nullptr)();
    return dirty.contains(std::string(post));
  }
  std::vector<std::string> above(std::uint32_t likes, std::size_t limit) const override {
    std::vector<std::string> posts;
    for (const auto& post : dirty) {
      if (live.at(post) >= likes) posts.push_back(post);
    }
    std::ranges::sort(posts, std::greater(), [this](const auto& post) { return live.at(post); });
    posts.resize(std::min(posts.size(), limit));
    return posts;
  }
  // The test outlives every coroutine that looks.
  static Task<Result<std::shared_ptr<const DirtyPosts>>> look_at(const DirtyPosts* posts) {
    co_return std::shared_ptr<const DirtyPosts>(std::shared_ptr<void>(), posts);
  }
  std::vector<Post> collect(RankOrder order, std::size_t limit) {
    return run(SqliteRank(*database, [this] { return look_at(this); }).collect(order, limit)).value();
  }

  void project(const std::map<std::string, std::optional<std::uint32_t>>& likes_of) {
    auto written = database->write_blocking([&](sqlite::Connection& connection) -> Result<void> {
      for (const auto& [id, likes] : likes_of) {
        std::optional<int> version = likes ? std::optional(1) : std::nullopt;
        connection.statement("UPDATE posts SET likes = ?2, likes_version = ?3 WHERE id = ?1").run(id, likes.value_or(0), version);
      }
      return {};
    });
    ASSERT_TRUE(written);
  }

  std::vector<std::string> rank(RankOrder order, std::size_t limit) {
    auto candidates = collect(order, limit);
    std::vector<std::uint32_t> likes;
    for (const Post& post : candidates) likes.push_back(live[post.id.str()]);
    std::vector<std::string> ids;
    for (std::size_t index : ranked(order, candidates, likes, clock.now(), limit)) ids.push_back(candidates[index].id.str());
    return ids;
  }

  // What the rank is by definition: all posts, sorted by live count.
  std::vector<std::string> rank_of_all(std::size_t limit) {
    std::vector<std::tuple<std::uint32_t, UtcMicros, std::string>> all;
    for (const auto& [id, at] : created) all.emplace_back(live[id], at, id);
    std::ranges::sort(all, std::greater());
    std::vector<std::string> ids;
    for (const auto& [likes, at, id] : all) {
      if (ids.size() < limit) ids.push_back(id);
    }
    return ids;
  }

  std::map<std::string, std::uint32_t> live;
  std::set<std::string> dirty;
  std::map<std::string, UtcMicros> created;
  mutable std::function<void()> on_is_dirty;  // called once
};

TEST_F(SqliteRankTest, AnEmptyTableHasNoRank) {
  EXPECT_TRUE(rank(RankOrder::kLikes, 50).empty());
}

TEST_F(SqliteRankTest, IsTheSameAsSortingAllPostsByLiveCount) {
  std::mt19937_64 random(20'261'120);
  add_user("ada");
  for (int i = 0; i < 200; ++i) {
    std::string id = "p" + std::to_string(i);
    created[id] = clock.now() + seconds(random() % 30);
    add_post(id, "ada", created[id]);
  }
  for (int round = 0; round < 150; ++round) {
    // Few different counts, so that ties are many; from hardly any to nearly all posts are dirty.
    std::uint32_t spread = 1 + random() % 40;
    std::uint32_t dirty_percent = random() % 101;
    dirty.clear();
    live.clear();
    std::map<std::string, std::optional<std::uint32_t>> projected_likes;
    for (const auto& [id, at] : created) {
      std::uint32_t projected = random() % spread;
      bool is_projected = random() % 20 != 0;
      projected_likes[id] = is_projected ? std::optional(projected) : std::nullopt;
      live[id] = is_projected ? projected : static_cast<std::uint32_t>(random() % spread);
      if (random() % 100 >= dirty_percent) continue;
      dirty.insert(id);
      live[id] = random() % (spread + 5);
    }
    project(projected_likes);
    for (int i = 0; i < 50; ++i) {  // liked, dirty, and unknown here
      std::string id = "elsewhere" + std::to_string(i);
      dirty.insert(id);
      live[id] = random() % (spread + 20);
    }
    for (std::size_t limit : {1, 3, 50, 100}) {
      ASSERT_EQ(rank(RankOrder::kLikes, limit), rank_of_all(limit)) << "round " << round << ", limit " << limit;
    }
  }
}

TEST_F(SqliteRankTest, APostThatWasJustLikedIsFoundBehindManyThatAreUnknownHere) {
  add_user("ada");
  for (int i = 0; i < 10; ++i) {
    std::string id = "p" + std::to_string(i);
    add_post(id);
    project({{id, 5}});
    live[id] = 5;
  }
  add_post("late");
  project({{"late", 0}});
  live["late"] = 6;
  dirty.insert("late");
  for (std::size_t i = 0; i < kRankDirtyFirst + 200; ++i) {
    std::string id = "elsewhere" + std::to_string(i);
    live[id] = 1'000;
    dirty.insert(id);
  }
  EXPECT_EQ(rank(RankOrder::kLikes, 1), std::vector<std::string>{"late"});
}

TEST_F(SqliteRankTest, TheWalkIsRepeatedWhenTheProjectionMovedMeanwhile) {
  add_user("ada");
  for (const char* id : {"a", "b", "c"}) {
    add_post(id);
    project({{id, 0}});
  }
  project({{"a", 2}});
  project({{"b", 1}});
  live = {{"a", 2}, {"b", 1}, {"c", 9}};
  dirty = {"c"};
  // The projection applies c's likes, and c stops being dirty, just after the first walk took its snapshot.
  on_is_dirty = [&] {
    auto written = database->write_blocking([](sqlite::Connection& connection) -> Result<void> {
      connection.statement("UPDATE posts SET likes = 9, likes_version = 2 WHERE id = 'c'").run();
      connection.statement("INSERT INTO outbox_cursors VALUES ('content', 1, 1, 1)").run();
      return {};
    });
    EXPECT_TRUE(written);
    dirty.clear();
  };
  auto candidates = collect(RankOrder::kLikes, 1);
  EXPECT_TRUE(std::ranges::any_of(candidates, [](const Post& post) { return post.id.view() == "c"; }));
}

TEST_F(SqliteRankTest, HotPrefersTheYoungerOfTwoAndTheLikedOfTwoYoungOnes) {
  add_user("ada");
  auto add = [&](const char* id, hours age, std::uint32_t likes) {
    add_post(id, "ada", clock.now() - age);
    project({{id, likes}});
    live[id] = likes;
  };
  add("old", hours(48), 100);
  add("young", hours(1), 20);
  add("young_and_liked", hours(1), 21);
  add("new", hours(0), 0);
  add("ahead", hours(-5), 9);
  EXPECT_EQ(rank(RankOrder::kHot, 10), (std::vector<std::string>{"young_and_liked", "young", "ahead", "old", "new"}));
}

TEST(Ranked, KeepsAtMostTheLimit) {
  std::vector<Post> posts;
  for (const char* id : {"a", "b", "c"})
    posts.push_back(Post{.id = PostId::trusted(id), .author = UserId::trusted("u"), .author_username = "u"});
  std::vector<std::uint32_t> likes{1, 3, 1};
  EXPECT_EQ(ranked(RankOrder::kLikes, posts, likes, UtcMicros{}, 2), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(ranked(RankOrder::kLikes, posts, likes, UtcMicros{}, 9), (std::vector<std::size_t>{1, 2, 0}));
}

}  // namespace
}  // namespace hearth::content
