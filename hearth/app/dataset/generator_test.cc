#include "hearth/app/dataset/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "hearth/app/dataset/data_line.h"

namespace hearth::app::dataset {
namespace {

std::string generated(const GeneratorOptions& options) {
  std::string text;
  auto done = generate(options, [&](std::string_view bytes) -> Result<void> {
    text += bytes;
    return {};
  });
  EXPECT_TRUE(done);
  return text;
}

struct Parsed {
  std::set<std::string> users;
  std::set<std::string> posts;
  std::set<std::pair<std::string, std::string>> pairs;
  std::map<std::string, std::uint64_t> likes;
  std::vector<std::string> in_order;  // the rated posts
  std::size_t ratings = 0;
};

// Reads all lines, and checks that each refers to what stands before it.
Parsed parse(const std::string& text) {
  Parsed parsed;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto read = parse_line(line);
    EXPECT_TRUE(read) << line << "\n" << read.error().message;
    if (!read) break;
    if (const auto* user = std::get_if<content::UserDraft>(&*read)) {
      parsed.users.insert(user->id.str());
    } else if (const auto* post = std::get_if<content::PostDraft>(&*read)) {
      EXPECT_TRUE(parsed.users.contains(post->author.str()));
      parsed.posts.insert(post->id->str());
    } else {
      const auto& rating = std::get<Rating>(*read);
      EXPECT_TRUE(parsed.posts.contains(rating.post.str())) << line;
      parsed.pairs.emplace(rating.post.str(), rating.session.str());
      ++parsed.likes[rating.post.str()];
      parsed.in_order.push_back(rating.post.str());
      ++parsed.ratings;
    }
  }
  return parsed;
}

std::vector<std::uint64_t> sorted_counts(const Parsed& parsed) {
  std::vector<std::uint64_t> counts;
  for (const auto& [post, likes] : parsed.likes) counts.push_back(likes);
  std::ranges::sort(counts, std::greater());
  return counts;
}

TEST(Generator, TheSameOptionsGiveTheSameBytesAndAnotherSeedOthers) {
  GeneratorOptions options{.posts = 300, .sessions = 500, .likes = 5'000, .seed = 42};
  std::string first = generated(options);
  EXPECT_EQ(generated(options), first);
  options.seed = 43;
  EXPECT_NE(generated(options), first);
}

TEST(Generator, MakesExactlyAsManyDifferentLikesAsAsked) {
  struct Case {
    std::uint64_t posts, sessions, likes;
  };
  for (auto [posts, sessions, likes] : {Case{1, 1, 0}, Case{1, 1, 1}, Case{1, 1'000, 777}, Case{1'000, 1, 777}, Case{7, 9, 63},
                                        Case{7, 9, 62}, Case{100, 50, 4'999}, Case{1'000, 5'000, 20'000}, Case{3, 0, 0}}) {
    SCOPED_TRACE(testing::Message() << posts << " posts, " << sessions << " sessions, " << likes << " likes");
    auto parsed = parse(generated({.posts = posts, .sessions = sessions, .likes = likes, .seed = 9}));
    EXPECT_EQ(parsed.posts.size(), posts);
    EXPECT_EQ(parsed.ratings, likes);
    EXPECT_EQ(parsed.pairs.size(), likes);
  }
}

TEST(Generator, PopularityFollowsZipf) {
  auto parsed = parse(generated({.posts = 1'000, .sessions = 10'000, .likes = 50'000, .seed = 1}));
  auto counts = sorted_counts(parsed);
  ASSERT_GE(counts.size(), 100u);
  // 50,000 / (sum of 1/k^0.99 for k to 1,000) for the first, and a tenth to the power of 0.99 of it for the tenth.
  EXPECT_NEAR(static_cast<double>(counts[0]), 6'475, 65);
  EXPECT_NEAR(static_cast<double>(counts[9]), 663, 10);
  EXPECT_NEAR(static_cast<double>(counts[99]), 67.8, 3);
}

TEST(Generator, NoPostHasMoreLikesThanThereAreSessions) {
  auto counts = sorted_counts(parse(generated({.posts = 100, .sessions = 200, .likes = 5'000, .seed = 1})));
  EXPECT_EQ(counts[0], 200u);
  EXPECT_EQ(counts[1], 200u);
  EXPECT_LT(counts[40], 200u);
}

TEST(Generator, LikesOfAllPostsComeMixed) {
  auto parsed = parse(generated({.posts = 100, .sessions = 1'000, .likes = 10'000, .seed = 1}));
  // The most popular post is among the first tenth about as often as in the whole.
  auto hottest = std::ranges::max_element(parsed.likes, {}, [](const auto& entry) { return entry.second; });
  auto early = std::count(parsed.in_order.begin(), parsed.in_order.begin() + 1'000, hottest->first);
  EXPECT_NEAR(static_cast<double>(early), static_cast<double>(hottest->second) / 10, 35);
}

TEST(Generator, PostIdsAreUuidsIfAsked) {
  auto parsed = parse(generated({.posts = 50, .sessions = 10, .likes = 100, .seed = 1, .uuid_post_ids = true}));
  ASSERT_EQ(parsed.posts.size(), 50u);
  for (const auto& id : parsed.posts) {
    EXPECT_EQ(id.size(), 36u);
    EXPECT_EQ(id[14], '4');
  }
}

TEST(Generator, WhatCannotBeIsRefused) {
  struct Case {
    GeneratorOptions options;
    std::string_view field;
  };
  const Case cases[] = {{{.posts = 10, .sessions = 10, .likes = 101}, "likes"},
                        {{.posts = 0, .sessions = 10, .likes = 0}, "posts"},
                        {{.posts = kGeneratedPostsMax + 1, .sessions = 1, .likes = 1}, "posts"},
                        {{.posts = 1, .sessions = kGeneratedSessionsMax + 1, .likes = 1}, "sessions"},
                        {{.posts = 1, .sessions = 0, .likes = 1}, "likes"}};
  for (const auto& [options, field] : cases) {
    auto refused = generate(options, [](std::string_view) -> Result<void> { return {}; });
    ASSERT_FALSE(refused) << field;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().field, field);
  }
}

TEST(Generator, AFailedWriteEndsIt) {
  auto failed = generate({.posts = 1, .sessions = 1, .likes = 1},
                         [](std::string_view) -> Result<void> { return fail(ErrorCode::kUnavailable, "pipe closed"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "pipe closed");
}

}  // namespace
}  // namespace hearth::app::dataset
