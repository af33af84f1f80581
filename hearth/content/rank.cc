#include "hearth/content/rank.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hearth/base/assert.h"

namespace hearth::content {
namespace {

double score(RankOrder order, const Post& post, std::uint32_t likes, UtcMicros now) {
  return order == RankOrder::kLikes ? likes : hot_score(likes, post.created_at, now);
}

}  // namespace

double hot_score(std::uint32_t likes, UtcMicros created_at, UtcMicros now) {
  using Hours = std::chrono::duration<double, std::ratio<3600>>;
  double age = std::max(0.0, Hours(now - created_at).count());
  return likes / std::pow(age + 2.0, 1.5);
}

std::vector<std::size_t> ranked(RankOrder order, std::span<const Post> posts, std::span<const std::uint32_t> likes, UtcMicros now,
                                std::size_t limit) {
  HEARTH_ASSERT(posts.size() == likes.size());
  std::vector<double> scores(posts.size());
  for (std::size_t i = 0; i < posts.size(); ++i) scores[i] = score(order, posts[i], likes[i], now);
  std::vector<std::size_t> indexes(posts.size());
  std::iota(indexes.begin(), indexes.end(), std::size_t{0});
  auto is_before = [&](std::size_t a, std::size_t b) {
    if (scores[a] != scores[b]) return scores[a] > scores[b];
    if (posts[a].created_at != posts[b].created_at) return posts[a].created_at > posts[b].created_at;
    return posts[a].id > posts[b].id;
  };
  std::size_t kept = std::min(limit, indexes.size());
  std::partial_sort(indexes.begin(), indexes.begin() + static_cast<std::ptrdiff_t>(kept), indexes.end(), is_before);
  indexes.resize(kept);
  return indexes;
}

}  // namespace hearth::content
