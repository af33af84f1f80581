#include "hearth/content/rank.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth::content {
namespace {

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
