#pragma once

// What every ContentJobs promises (content_jobs.h), and what follows a post in its transaction, as tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hearth/content/content_under_test.h"

namespace hearth::content {

class ContentJobsConformance : public ContentConformance {
 protected:
  ContentJobs& jobs() { return content->jobs(); }
  void add_post_with_image(const char* id, const char* url) {
    ASSERT_TRUE(run(store().create_post({.id = post_id(id), .author = user_id("ada"), .image_url = url}, std::nullopt)));
  }
  Result<bool> set_media(const char* id, const char* url, std::vector<std::string> media) {
    bool is_set = false;
    auto written = content->write([&](SqlTransaction transaction) -> Result<void> {
      auto set = jobs().set_media(transaction, post_id(id), url, media);
      if (!set) return std::unexpected(set.error());
      is_set = *set;
      return {};
    });
    if (!written) return std::unexpected(written.error());
    return is_set;
  }
  std::vector<std::string> media_of(const char* id) { return run(pages().posts({post_id(id)})).value().front().media_urls; }
};

TEST_P(ContentJobsConformance, FindsTheHottestPosts) {
  add_user("ada");
  std::map<std::string, std::uint32_t> likes;
  std::vector<std::pair<double, std::string>> all;
  for (int i = 0; i < 60; ++i) {
    std::string id = "p" + std::to_string(i);
    auto created = clock.now() - std::chrono::minutes(i * i * 3);
    add_post(id, "ada", created);
    likes[id] = static_cast<std::uint32_t>((i * 37) % 50);
    if (likes[id] > 0) all.emplace_back(hot_score(likes[id], created, clock.now()), id);
  }
  content->project(likes);
  std::ranges::sort(all, std::greater());
  std::vector<std::string> expected;
  for (int i = 0; i < 10; ++i) expected.push_back(all[static_cast<std::size_t>(i)].second);
  EXPECT_EQ(run(jobs().find_hot_posts(clock.now(), 10)).value(), expected);
  EXPECT_EQ(run(jobs().find_hot_posts(clock.now(), 1'000)).value().size(), all.size());
}

TEST_P(ContentJobsConformance, WhatIsKeptHotIsACandidateHoweverOldAndLittleLikedItIs) {
  add_user("ada");
  auto live = std::make_shared<LikesInTest>();
  auto is_candidate = [&] {
    auto candidates = run(content->rank(always(live))->collect(RankOrder::kHot, 1)).value();
    return std::ranges::any_of(candidates, [](const Post& post) { return post.id.view() == "forgotten"; });
  };
  add_post("forgotten", "ada", clock.now() - std::chrono::days(100));
  std::vector<Draft> newer;
  for (std::size_t i = 0; i < kRankHotNewestMax; ++i)
    newer.emplace_back(PostDraft{.id = post_id("n" + std::to_string(i)), .author = user_id("ada"), .created_at = clock.now()});
  ASSERT_TRUE(run(store().put_all(std::move(newer))));
  content->project({{"n1", 9}, {"forgotten", 1}});
  ASSERT_FALSE(is_candidate());

  ASSERT_TRUE(content->write([&](SqlTransaction transaction) { return jobs().keep_hot_posts(transaction, {"forgotten", "n1"}); }));
  EXPECT_TRUE(is_candidate());
  ASSERT_TRUE(content->write([&](SqlTransaction transaction) { return jobs().keep_hot_posts(transaction, {"n1"}); }));
  EXPECT_FALSE(is_candidate());
}

TEST_P(ContentJobsConformance, MediaBelongsToTheImageItWasMadeOf) {
  add_user("ada");
  add_post_with_image("p", "https://a.example/1.jpg");
  EXPECT_TRUE(set_media("p", "https://a.example/1.jpg", {"/media/a.webp", "/media/a.jpg"}).value());
  EXPECT_EQ(media_of("p"), (std::vector<std::string>{"/media/a.webp", "/media/a.jpg"}));
  EXPECT_FALSE(set_media("p", "https://a.example/2.jpg", {"/media/b.webp"}).value());
  EXPECT_FALSE(set_media("gone", "https://a.example/1.jpg", {"/media/b.webp"}).value());
  EXPECT_EQ(media_of("p"), (std::vector<std::string>{"/media/a.webp", "/media/a.jpg"}));
}

TEST_P(ContentJobsConformance, AnswersOfKeysArePrunedInBatchesOnceTheyAreKeptNoLonger) {
  add_user("ada");
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_TRUE(run(store().create_post({.author = user_id("ada")}, IdempotencyKey{key, "request"})));
  }
  EXPECT_EQ(run(jobs().prune_idempotency_keys(clock.now() + kIdempotencyKept - std::chrono::seconds(1), 10)).value(), 0u);
  clock.advance(kIdempotencyKept);
  EXPECT_EQ(run(jobs().prune_idempotency_keys(clock.now(), 2)).value(), 2u);
  EXPECT_EQ(run(jobs().prune_idempotency_keys(clock.now(), 2)).value(), 1u);
}

TEST_P(ContentJobsConformance, WhatFollowsAPostCommitsWithItOrNotAtAll) {
  add_user("ada");
  auto follow = [this](SqlTransaction transaction, const Post& post) {
    auto kept = jobs().keep_hot_posts(transaction, {post.id.str()});
    if (!kept || post.id.view() == "refused") throw std::runtime_error("refused");
  };
  auto& followed = content->store_with(follow);
  EXPECT_TRUE(run(followed.create_post({.id = post_id("p"), .author = user_id("ada")}, IdempotencyKey{"1", "r"})));
  EXPECT_FALSE(run(followed.create_post({.id = post_id("refused"), .author = user_id("ada")}, IdempotencyKey{"2", "r"})));
  EXPECT_EQ(content->count("SELECT count(*) FROM hot_posts WHERE post_id = 'p'"), 1);
  EXPECT_EQ(content->count("SELECT count(*) FROM hot_posts"), 1);
  EXPECT_FALSE(run(pages().exists(post_id("refused"))).value());
  EXPECT_EQ(content->count("SELECT count(*) FROM idempotency_keys"), 1);
}

}  // namespace hearth::content
