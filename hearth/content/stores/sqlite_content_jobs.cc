#include "hearth/content/stores/sqlite_content_jobs.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <variant>

#include "hearth/base/assert.h"
#include "hearth/content/rank.h"
#include "hearth/content/stores/encoding.h"

namespace hearth::content {
namespace {

constexpr char kLiked[] = "SELECT id, likes, created_at FROM posts WHERE likes > 0 ORDER BY likes DESC";
constexpr char kForgetHot[] = "DELETE FROM hot_posts";
constexpr char kKeepHot[] = "INSERT INTO hot_posts (place, post_id) VALUES (?1, ?2)";
constexpr char kSetMedia[] = "UPDATE posts SET media_urls = ?3 WHERE id = ?1 AND image_url = ?2";
constexpr char kPruneKeys[] =
    "DELETE FROM idempotency_keys WHERE scope IN (SELECT scope FROM idempotency_keys WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)";

using Scored = std::pair<double, std::string>;

// Down the posts by likes, until no post further down can have a score among the best: a new one with as many likes has not.
std::vector<Scored> best_of(sqlite::Connection& connection, UtcMicros now, std::size_t limit) {
  std::vector<Scored> best;  // a heap with the lowest score at its front
  auto& row = connection.statement(kLiked).query();
  while (row.next()) {
    auto likes = static_cast<std::uint32_t>(row.integer(1));
    bool is_full = best.size() == limit;
    if (is_full && hot_score(likes, now, now) <= best.front().first) break;
    double score = hot_score(likes, time_of(row.integer(2)), now);
    if (is_full && score <= best.front().first) continue;
    if (is_full) {
      std::ranges::pop_heap(best, std::greater());
      best.pop_back();
    }
    best.emplace_back(score, row.string(0));
    std::ranges::push_heap(best, std::greater());
  }
  row.reset();
  return best;
}

}  // namespace

Task<Result<std::vector<std::string>>> SqliteContentJobs::find_hot_posts(UtcMicros now, std::size_t limit) {
  HEARTH_ASSERT(limit >= 1 && limit <= kHotPostsMax);
  co_return co_await database_.read([now, limit](sqlite::Connection& connection) -> Result<std::vector<std::string>> {
    auto best = best_of(connection, now, limit);
    std::ranges::sort(best, std::greater());
    std::vector<std::string> posts;
    posts.reserve(best.size());
    for (auto& [score, id] : best) posts.push_back(std::move(id));
    return posts;
  });
}

Result<void> SqliteContentJobs::keep_hot_posts(SqlTransaction transaction, const std::vector<std::string>& posts) {
  auto& connection = *std::get<sqlite::Connection*>(transaction);
  connection.statement(kForgetHot).run();
  auto& keep = connection.statement(kKeepHot);
  for (std::size_t place = 0; place < posts.size(); ++place) keep.run(place, posts[place]);
  return {};
}

Result<bool> SqliteContentJobs::set_media(SqlTransaction transaction, const PostId& post, const std::string& image_url,
                                          const std::vector<std::string>& media_urls) {
  auto& connection = *std::get<sqlite::Connection*>(transaction);
  return connection.statement(kSetMedia).run(post.view(), image_url, join_lines(media_urls)) == 1;
}

Task<Result<std::size_t>> SqliteContentJobs::prune_idempotency_keys(UtcMicros now, std::size_t limit) {
  co_return co_await database_.write([now, limit](sqlite::Connection& connection) -> Result<std::size_t> {
    return static_cast<std::size_t>(connection.statement(kPruneKeys).run(micros(now - kIdempotencyKept), limit));
  });
}

}  // namespace hearth::content
