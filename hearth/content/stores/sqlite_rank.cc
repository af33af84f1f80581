#include "hearth/content/stores/sqlite_rank.h"

#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/hash.h"
#include "hearth/content/content_jobs.h"
#include "hearth/content/stores/outbox_cursor.h"
#include "hearth/content/stores/sqlite_rows.h"

namespace hearth::content {
namespace {

constexpr char kWalk[] = "SELECT id, likes FROM posts ORDER BY likes DESC, created_at DESC, id DESC LIMIT ?1";
constexpr char kUnprojected[] = "SELECT id FROM posts WHERE likes_version IS NULL ORDER BY created_at DESC LIMIT ?1";
constexpr char kNewest[] = "SELECT id FROM posts ORDER BY created_at DESC, id DESC LIMIT ?1";
constexpr char kHot[] = "SELECT post_id FROM hot_posts LIMIT ?1";
constexpr char kExists[] = "SELECT 1 FROM posts WHERE id = ?1";

using IdSet = boost::unordered_flat_set<std::string, TextHash, std::equal_to<>>;

struct Walk {
  std::uint32_t last_likes = 0;  // projected, of the last row met
  bool is_exhausted = true;      // every post was met
};

Walk walk(sqlite::Connection& connection, const DirtyPosts& dirty, std::size_t limit, IdSet& collected) {
  Walk walk;
  std::size_t clean = 0;
  std::size_t met = 0;
  auto& row = connection.statement(kWalk).query(kRankWalkMax + 1);
  while (row.next()) {
    if (clean == limit || met == kRankWalkMax) {
      walk.is_exhausted = false;
      break;
    }
    ++met;
    walk.last_likes = static_cast<std::uint32_t>(row.integer(1));
    if (!dirty.is_dirty(row.text(0))) ++clean;
    collected.emplace(row.text(0));
  }
  row.reset();
  return walk;
}

bool exists(sqlite::Connection& connection, std::string_view id) {
  auto& row = connection.statement(kExists).query(id);
  bool is_there = row.next();
  row.reset();
  return is_there;
}

// Dirty posts with `likes` or more, until `limit` of them are known here.
void collect_dirty(sqlite::Connection& connection, const DirtyPosts& dirty, std::uint32_t likes, std::size_t limit, IdSet& collected) {
  for (std::size_t asked = kRankDirtyFirst;; asked = std::min(asked * 4, kRankDirtyMax)) {
    auto posts = dirty.above(likes, asked);
    std::size_t known = 0;
    for (const auto& id : posts) {
      if (!collected.contains(id) && !exists(connection, id)) continue;
      ++known;
      collected.insert(id);
    }
    if (known >= limit || posts.size() < asked || asked == kRankDirtyMax) return;
  }
}

void collect(sqlite::Connection& connection, const char* sql, std::size_t limit, IdSet& collected) {
  auto& row = connection.statement(sql).query(limit);
  while (row.next()) collected.emplace(row.text(0));
}

struct Candidates {
  std::vector<Post> posts;
  std::uint64_t projection_steps = 0;
};

Candidates read_candidates(sqlite::Connection& connection, const DirtyPosts& dirty, RankOrder order, std::size_t limit) {
  Candidates candidates;
  candidates.projection_steps = read_cursor(connection, kContentConsumer).steps;
  IdSet collected;
  Walk walked = walk(connection, dirty, limit, collected);
  if (!walked.is_exhausted) {
    collect_dirty(connection, dirty, walked.last_likes, limit, collected);
    collect(connection, kUnprojected, kRankUnprojectedMax, collected);
    if (order == RankOrder::kHot) {
      collect(connection, kNewest, kRankHotNewestMax, collected);
      collect(connection, kHot, kHotPostsMax, collected);
    }
  }
  candidates.posts.reserve(collected.size());
  for (const auto& id : collected) {
    if (auto post = find_post(connection, id)) candidates.posts.push_back(std::move(*post));
  }
  return candidates;
}

}  // namespace

SqliteRank::SqliteRank(sqlite::Database& database, ReadDirty read_dirty) : database_(database), read_dirty_(std::move(read_dirty)) {}

Task<Result<std::vector<Post>>> SqliteRank::collect(RankOrder order, std::size_t limit) {
  HEARTH_ASSERT(limit >= 1 && limit <= kRankPostsMax);
  auto dirty = co_await read_dirty_();
  if (!dirty) co_return std::unexpected(dirty.error());
  for (std::size_t reads = 1;; ++reads) {
    auto candidates = co_await database_.read([dirty = *dirty, order, limit](sqlite::Connection& connection) -> Result<Candidates> {
      return read_candidates(connection, *dirty, order, limit);
    });
    if (!candidates) co_return std::unexpected(candidates.error());
    if ((*dirty)->is_frozen() || reads == kRankReadsMax) co_return std::move(candidates->posts);
    auto steps = co_await database_.read(
        [](sqlite::Connection& connection) -> Result<std::uint64_t> { return read_cursor(connection, kContentConsumer).steps; });
    if (!steps) co_return std::unexpected(steps.error());
    if (*steps == candidates->projection_steps) co_return std::move(candidates->posts);
  }
}

}  // namespace hearth::content
