#include "hearth/content/stores/postgres_rank.h"

#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/hash.h"
#include "hearth/content/stores/postgres_rows.h"

namespace hearth::content {
namespace {

// Literal limits, because for a parameter the planner expects a tenth of the table.
constexpr char kWalkFirst[] = "SELECT id, likes, created_at FROM posts ORDER BY likes DESC, created_at DESC, id DESC LIMIT 500";
constexpr char kWalkOn[] =
    "SELECT id, likes, created_at FROM posts WHERE (likes, created_at, id) < ($1, $2, $3) "
    "ORDER BY likes DESC, created_at DESC, id DESC LIMIT 500";
constexpr char kNewest[] = "SELECT id FROM posts ORDER BY created_at DESC, id DESC LIMIT 1000";
static_assert(kRankHotNewestMax == 1'000);
constexpr char kHot[] = "SELECT post_id FROM hot_posts";
constexpr char kFlushed[] = "SELECT position_major, position_minor FROM outbox_cursors WHERE consumer = 'ledger' AND partition = -1";
constexpr char kKnown[] = "SELECT id FROM posts WHERE id = ANY($1)";
constexpr char kPosts[] = HEARTH_POSTGRES_SELECT_POST "WHERE p.id = ANY($1)";

using IdSet = boost::unordered_flat_set<std::string, TextHash, std::equal_to<>>;

struct Walk {
  std::uint32_t last_likes = 0;  // of the last row met
  bool is_exhausted = false;     // every post was met
};

Walk walk(postgres::Connection& connection, const DirtyPosts& dirty, std::size_t limit, IdSet& collected) {
  Walk walk;
  std::size_t clean = 0;
  auto rows = connection.query(kWalkFirst);
  while (rows.size() > 0) {
    UtcMicros last_time;
    std::string last_id;
    while (rows.next()) {
      if (clean == limit || collected.size() == kRankWalkMax) return walk;
      walk.last_likes = static_cast<std::uint32_t>(rows.integer(1));
      last_time = rows.time(2);
      last_id = rows.string(0);
      if (!dirty.is_dirty(last_id)) ++clean;
      collected.insert(last_id);
    }
    rows = connection.query(kWalkOn, walk.last_likes, last_time, last_id);
  }
  walk.is_exhausted = true;
  return walk;
}

// Dirty posts with `likes` or more, until `limit` of them are known here.
void collect_dirty(postgres::Connection& connection, const DirtyPosts& dirty, std::uint32_t likes, std::size_t limit, IdSet& collected) {
  for (std::size_t asked = kRankDirtyFirst;; asked = std::min(asked * 4, kRankDirtyMax)) {
    auto posts = dirty.above(likes, asked);
    auto rows = connection.query(kKnown, posts);
    while (rows.next()) collected.emplace(rows.text(0));
    bool is_enough = static_cast<std::size_t>(rows.size()) >= limit;
    if (is_enough || posts.size() < asked || asked == kRankDirtyMax) return;
  }
}

void collect(postgres::Connection& connection, const char* sql, IdSet& collected) {
  auto rows = connection.query(sql);
  while (rows.next()) collected.emplace(rows.text(0));
}

using JournalPlace = std::pair<std::int64_t, std::int64_t>;

JournalPlace flushed(postgres::Connection& connection) {
  auto rows = connection.query(kFlushed);
  return rows.next() ? JournalPlace(rows.integer(0), rows.integer(1)) : JournalPlace();
}

struct Candidates {
  std::vector<Post> posts = {};
  JournalPlace flushed = {};
};

Candidates read_candidates(postgres::Connection& connection, const DirtyPosts& dirty, RankOrder order, std::size_t limit) {
  Candidates candidates{.flushed = flushed(connection)};
  IdSet collected;
  Walk walked = walk(connection, dirty, limit, collected);
  if (!walked.is_exhausted) {
    collect_dirty(connection, dirty, walked.last_likes, limit, collected);
    if (order == RankOrder::kHot) {
      collect(connection, kNewest, collected);
      collect(connection, kHot, collected);
    }
  }
  auto rows = connection.query(kPosts, std::vector<std::string_view>(collected.begin(), collected.end()));
  candidates.posts.reserve(collected.size());
  while (rows.next()) candidates.posts.push_back(post_in(rows));
  return candidates;
}

}  // namespace

Task<Result<std::vector<Post>>> PostgresRank::collect(RankOrder order, std::size_t limit) {
  HEARTH_ASSERT(limit >= 1 && limit <= kRankPostsMax);
  auto dirty = co_await read_dirty_();
  if (!dirty) co_return std::unexpected(dirty.error());
  for (std::size_t reads = 1;; ++reads) {
    auto candidates = co_await database_.read([dirty = *dirty, order, limit](postgres::Connection& connection) -> Result<Candidates> {
      return read_candidates(connection, *dirty, order, limit);
    });
    if (!candidates) co_return std::unexpected(candidates.error());
    if ((*dirty)->is_frozen() || reads == kRankReadsMax) co_return std::move(candidates->posts);
    auto now = co_await database_.read([](postgres::Connection& connection) -> Result<JournalPlace> { return flushed(connection); });
    if (!now) co_return std::unexpected(now.error());
    if (*now == candidates->flushed) co_return std::move(candidates->posts);
  }
}

}  // namespace hearth::content
