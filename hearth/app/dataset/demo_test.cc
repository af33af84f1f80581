#include "hearth/app/dataset/demo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "hearth/app/dataset/dataset_fixture.h"
#include "hearth/content/rank.h"

namespace hearth::app::dataset {
namespace {

class DemoTest : public testing::Test {
 protected:
  DemoTest() { report = folder.import(demo_dataset(folder.clock.now())); }

  DataFolder folder;
  ImportReport report;
};

TEST_F(DemoTest, IsImportedWithoutABadLine) {
  EXPECT_EQ(report.bad_total, 0u);
  EXPECT_EQ(report.users, 12u);
  EXPECT_EQ(report.posts, 36u);
  EXPECT_EQ(report.stories, 3u);
  EXPECT_EQ(report.chapters, 5u);
  EXPECT_EQ(report.unchanged, 0u) << "nothing is said twice";
}

TEST_F(DemoTest, HasLuciasPolarBearWith446Likes) {
  auto user = run_to_end(folder.pages.user_by_username("lucia_nature"));
  ASSERT_TRUE(user);
  EXPECT_EQ(user->id.view(), kDemoAuthor);
  auto post = run_to_end(folder.pages.post(PostId::trusted(kDemoPost)));
  ASSERT_TRUE(post);
  EXPECT_EQ(post->content, "Oso polar en su habitat natural");
  EXPECT_EQ(post->author_username, "lucia_nature");
  EXPECT_EQ(folder.likes_of(kDemoPost), 446u);
  EXPECT_FALSE(folder.likes.view(kDemoPost, kDemoAuthor).is_liked);
}

TEST_F(DemoTest, ItsPolarBearIsOnTheTimelineAndLeadsTheRank) {
  auto page = run_to_end(folder.pages.timeline(content::kTimelinePostsMax, std::nullopt)).value();
  ASSERT_EQ(page.posts.size(), 36u);
  std::vector<std::uint32_t> likes;
  for (const auto& post : page.posts) {
    likes.push_back(folder.likes_of(post.id.str()));
    EXPECT_GE(likes.back(), 3u);
    EXPECT_LT(post.created_at, folder.clock.now());
  }
  auto order = content::ranked(content::RankOrder::kLikes, page.posts, likes, folder.clock.now(), 2);
  EXPECT_EQ(page.posts[order[0]].id.view(), kDemoPost);
  EXPECT_LE(likes[order[1]], 400u);
}

TEST_F(DemoTest, HasStoriesThatWereViewed) {
  auto page = run_to_end(folder.stories.stories(content::kStoriesMax, std::nullopt)).value();
  ASSERT_EQ(page.stories.size(), 3u);
  EXPECT_EQ(page.stories.back().id.view(), kDemoStory);
  for (const auto& story : page.stories) {
    EXPECT_GT(story.read_count, 0u);
    EXPECT_LT(story.created_at, folder.clock.now());
  }
}

TEST_F(DemoTest, IsTheSameForTheSameNow) {
  EXPECT_EQ(demo_dataset(folder.clock.now()), demo_dataset(folder.clock.now()));
  EXPECT_EQ(folder.import(demo_dataset(folder.clock.now())).unchanged, report.lines);
}

TEST_F(DemoTest, EveryLikeIsYoungerThanItsPost) {
  std::istringstream lines(demo_dataset(folder.clock.now()));
  std::map<std::string, UtcMicros> created;
  for (std::string line; std::getline(lines, line);) {
    auto read = parse_line(line).value();
    if (const auto* post = std::get_if<content::PostDraft>(&read)) created[post->id->str()] = post->created_at.value();
    if (const auto* rating = std::get_if<Rating>(&read)) {
      EXPECT_GT(rating->at.value(), created.at(rating->post.str()));
      EXPECT_LT(rating->at.value(), folder.clock.now());
    }
  }
}

}  // namespace
}  // namespace hearth::app::dataset
