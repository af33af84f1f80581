#pragma once

// What every ContentExport promises (content_export.h), as tests.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hearth/content/content_under_test.h"

namespace hearth::content {

class ContentExportConformance : public ContentConformance {};

TEST_P(ContentExportConformance, GivesUsersThenPostsByTheBytesOfTheirIds) {
  std::vector<Draft> drafts;
  for (const char* id : {"ada", "Zoe", "_"}) drafts.emplace_back(UserDraft{.id = user_id(id), .username = id, .bio = "x"});
  for (int i = 0; i < 997; ++i) {
    drafts.emplace_back(PostDraft{.id = post_id("aBz_~"[i % 5] + std::to_string(i)), .author = user_id("ada")});
  }
  ASSERT_TRUE(run(store().put_all(drafts)));
  for (int i = 0; i < 10; ++i) add_post("more" + std::to_string(i), "Zoe");

  std::vector<std::string> users;
  std::vector<Post> posts;
  auto use_user = [&](const User& user) -> Result<void> {
    EXPECT_TRUE(posts.empty());
    EXPECT_EQ(user, run(pages().user(user.id)).value());
    users.push_back(user.id.str());
    return {};
  };
  auto use_post = [&](const Post& post) -> Result<void> {
    posts.push_back(post);
    return {};
  };
  ASSERT_TRUE(content->for_each(use_user, use_post));
  EXPECT_EQ(users, (std::vector<std::string>{"Zoe", "_", "ada"}));
  ASSERT_EQ(posts.size(), 1'007u);
  for (std::size_t i = 1; i < posts.size(); ++i) EXPECT_LT(posts[i - 1].id.str(), posts[i].id.str());
  EXPECT_EQ(posts[500], run(pages().post(posts[500].id)).value());
}

TEST_P(ContentExportConformance, EndsAtTheFirstFailureOfWhatItCalls) {
  add_user("ada");
  add_user("bob");
  int users = 0;
  auto exported = content->for_each(
      [&](const User&) -> Result<void> {
        ++users;
        return fail(ErrorCode::kUnavailable, "full");
      },
      [](const Post&) -> Result<void> { return {}; });
  ASSERT_FALSE(exported);
  EXPECT_EQ(exported.error().message, "full");
  EXPECT_EQ(users, 1);
}

}  // namespace hearth::content
