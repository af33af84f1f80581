#include "hearth/content/stores/postgres_content_jobs.h"

#include <cstdint>
#include <numeric>
#include <variant>

#include "hearth/base/assert.h"

namespace hearth::content {
namespace {

// hot_score() of rank.h, in SQL.
constexpr char kHottest[] =
    "SELECT id FROM posts WHERE likes > 0 "
    "ORDER BY likes / power(greatest(0, extract(epoch FROM $1 - created_at)::double precision / 3600) + 2, 1.5) DESC, id DESC LIMIT $2";
constexpr char kForgetHot[] = "DELETE FROM hot_posts";
constexpr char kKeepHot[] = "INSERT INTO hot_posts (place, post_id) SELECT * FROM unnest($1, $2)";
constexpr char kSetMedia[] = "UPDATE posts SET media_urls = $3 WHERE id = $1 AND image_url = $2";
constexpr char kPruneKeys[] =
    "DELETE FROM idempotency_keys WHERE scope IN "
    "(SELECT scope FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

}  // namespace

Task<Result<std::vector<std::string>>> PostgresContentJobs::find_hot_posts(UtcMicros now, std::size_t limit) {
  HEARTH_ASSERT(limit >= 1 && limit <= kHotPostsMax);
  co_return co_await database_.read([now, limit](postgres::Connection& connection) -> Result<std::vector<std::string>> {
    auto rows = connection.query(kHottest, now, limit);
    std::vector<std::string> posts;
    posts.reserve(static_cast<std::size_t>(rows.size()));
    while (rows.next()) posts.push_back(rows.string(0));
    return posts;
  });
}

Result<void> PostgresContentJobs::keep_hot_posts(SqlTransaction transaction, const std::vector<std::string>& posts) {
  auto& connection = *std::get<postgres::Connection*>(transaction);
  std::vector<std::int64_t> places(posts.size());
  std::iota(places.begin(), places.end(), std::int64_t{0});
  connection.run(kForgetHot);
  connection.run(kKeepHot, places, posts);
  return {};
}

Result<bool> PostgresContentJobs::set_media(SqlTransaction transaction, const PostId& post, const std::string& image_url,
                                            const std::vector<std::string>& media_urls) {
  auto& connection = *std::get<postgres::Connection*>(transaction);
  return connection.run(kSetMedia, post.view(), image_url, media_urls) == 1;
}

Task<Result<std::size_t>> PostgresContentJobs::prune_idempotency_keys(UtcMicros now, std::size_t limit) {
  co_return co_await database_.write([now, limit](postgres::Connection& connection) -> Result<std::size_t> {
    return connection.run(kPruneKeys, now - kIdempotencyKept, limit);
  });
}

}  // namespace hearth::content
