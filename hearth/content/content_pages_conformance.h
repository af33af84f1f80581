#pragma once

// What every ContentPages promises (content_pages.h), as tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "hearth/content/content_under_test.h"

namespace hearth::content {

class ContentPagesConformance : public ContentConformance {
 protected:
  static std::vector<std::string> ids(const std::vector<Post>& posts) {
    std::vector<std::string> ids;
    for (const Post& post : posts) ids.push_back(post.id.str());
    return ids;
  }
};

TEST_P(ContentPagesConformance, PostsComeInTheOrderAskedWithoutUnknownOnes) {
  add_user("ada");
  for (const char* id : {"a", "b", "c"}) add_post(id);
  auto found = run(pages().posts({post_id("c"), post_id("missing"), post_id("a"), post_id("c")}));
  ASSERT_TRUE(found);
  EXPECT_EQ(ids(*found), (std::vector<std::string>{"c", "a", "c"}));
}

TEST_P(ContentPagesConformance, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(run(pages().post(post_id("x"))).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(run(pages().user(user_id("x"))).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(run(pages().posts_of(user_id("x"), 20, std::nullopt)).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(run(pages().exists(post_id("x"))).value());
  add_user("x");
  add_post("x", "x");
  EXPECT_TRUE(run(pages().exists(post_id("x"))).value());
  EXPECT_TRUE(run(pages().timeline(50, std::nullopt))->posts.size() == 1);
}

TEST_P(ContentPagesConformance, ARenamedAuthorIsSeenOnEveryPost) {
  add_user("ada");
  add_post("p");
  ASSERT_TRUE(run(store().put_user({.id = user_id("ada"), .username = "countess"})));
  EXPECT_EQ(run(pages().post(post_id("p")))->author_username, "countess");
  EXPECT_EQ(run(pages().timeline(1, std::nullopt))->posts[0].author_username, "countess");
}

// Every page size walks through all posts, each once, newest first, also where many share one instant.
TEST_P(ContentPagesConformance, CursorsVisitEveryPostOnceInOrder) {
  std::mt19937_64 random(7);
  add_user("ada");
  add_user("bob");
  std::vector<std::pair<UtcMicros, std::string>> expected;
  std::vector<std::pair<UtcMicros, std::string>> expected_of_bob;
  for (int i = 0; i < 120; ++i) {
    bool is_bobs = random() % 3 == 0;
    auto at = clock.now() + std::chrono::seconds(random() % 20);
    std::string id = "aBz_~"[i % 5] + std::to_string(i);  // order is of bytes, not of a language
    add_post(id, is_bobs ? "bob" : "ada", at);
    expected.emplace_back(at, id);
    if (is_bobs) expected_of_bob.emplace_back(at, id);
  }
  std::ranges::sort(expected, std::greater());
  std::ranges::sort(expected_of_bob, std::greater());

  for (std::size_t limit : {1, 7, 20}) {
    auto visit = [&](auto next_page) {
      std::vector<std::pair<UtcMicros, std::string>> seen;
      std::optional<PostCursor> after;
      do {
        PostPage page = next_page(after).value();
        EXPECT_LE(page.posts.size(), limit);
        for (const Post& post : page.posts) seen.emplace_back(post.created_at, post.id.str());
        after = page.next;
      } while (after);
      return seen;
    };
    EXPECT_EQ(visit([&](auto after) { return run(pages().timeline(limit, after)); }), expected);
    EXPECT_EQ(visit([&](auto after) { return run(pages().posts_of(user_id("bob"), limit, after)); }), expected_of_bob);
  }
}

TEST_P(ContentPagesConformance, ACursorOfAnyTimeIsAPlace) {
  add_user("ada");
  add_post("p");
  for (bool is_late : {true, false}) {
    PostCursor after{is_late ? UtcMicros::max() : UtcMicros::min(), "x"};
    EXPECT_EQ(run(pages().timeline(50, after)).value().posts.size(), is_late ? 1u : 0u);
    EXPECT_EQ(run(pages().posts_of(user_id("ada"), 20, after)).value().posts.size(), is_late ? 1u : 0u);
  }
}

TEST_P(ContentPagesConformance, TheLastPageHasNoNext) {
  add_user("ada");
  add_post("a");
  add_post("b");
  EXPECT_FALSE(run(pages().timeline(2, std::nullopt))->next);
  EXPECT_TRUE(run(pages().timeline(1, std::nullopt))->next);
}

TEST_P(ContentPagesConformance, AUserIsFoundByUsernameWhateverTheCase) {
  ASSERT_TRUE(run(store().put_user({.id = user_id("u1"), .username = "Lucía"})));
  EXPECT_EQ(run(pages().user_by_username("LUCÍA"))->id, user_id("u1"));
  EXPECT_EQ(run(pages().user_by_username("lucia")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(run(pages().user_by_username("not a name")).error().code, ErrorCode::kNotFound);
}

}  // namespace hearth::content
