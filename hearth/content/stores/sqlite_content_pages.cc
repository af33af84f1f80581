#include "hearth/content/stores/sqlite_content_pages.h"

#include <limits>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/content/stores/encoding.h"
#include "hearth/content/stores/sqlite_rows.h"
#include "hearth/content/username.h"

namespace hearth::content {
namespace {

constexpr char kFindUser[] = HEARTH_SELECT_USER "WHERE id = ?1";
constexpr char kFindUsername[] = HEARTH_SELECT_USER "WHERE username_key = ?1";
constexpr char kPostExists[] = "SELECT 1 FROM posts WHERE id = ?1";
constexpr char kFindAuthor[] = "SELECT key FROM users WHERE id = ?1";
constexpr char kTimeline[] = HEARTH_SELECT_POST "WHERE (p.created_at, p.id) < (?1, ?2) ORDER BY p.created_at DESC, p.id DESC LIMIT ?3";
constexpr char kPostsOf[] =
    HEARTH_SELECT_POST "WHERE p.author = ?4 AND (p.created_at, p.id) < (?1, ?2) ORDER BY p.created_at DESC, p.id DESC LIMIT ?3";

// Above every post: the first page begins here.
const PostCursor kNewest{UtcMicros(std::chrono::microseconds(std::numeric_limits<std::int64_t>::max())), ""};

// The page of the rows of `query`, which was asked for one row more than `limit`: it tells whether there is a next page.
PostPage page_of(sqlite::Statement& query, std::size_t limit) {
  PostPage page;
  while (query.next()) {
    if (page.posts.size() == limit) {
      page.next = PostCursor{page.posts.back().created_at, page.posts.back().id.str()};
      break;
    }
    page.posts.push_back(post_in(query));
  }
  query.reset();
  return page;
}

std::optional<std::int64_t> author_key(sqlite::Connection& connection, const UserId& id) {
  auto& row = connection.statement(kFindAuthor).query(id.view());
  if (!row.next()) return std::nullopt;
  std::int64_t key = row.integer(0);
  row.reset();
  return key;
}

}  // namespace

Task<Result<User>> SqliteContentPages::user(UserId id) {
  co_return co_await database_.read([id = std::move(id)](sqlite::Connection& connection) -> Result<User> {
    if (auto user = user_of(connection.statement(kFindUser).query(id.view()))) return std::move(*user);
    return fail(ErrorCode::kNotFound, "there is no user " + id.str(), "userId");
  });
}

Task<Result<User>> SqliteContentPages::user_by_username(std::string username) {
  if (!is_valid_username(username)) co_return fail(ErrorCode::kNotFound, "there is no user of this name", "username");
  co_return co_await database_.read([key = fold_username(username)](sqlite::Connection& connection) -> Result<User> {
    if (auto user = user_of(connection.statement(kFindUsername).query(key))) return std::move(*user);
    return fail(ErrorCode::kNotFound, "there is no user of this name", "username");
  });
}

Task<Result<Post>> SqliteContentPages::post(PostId id) {
  co_return co_await database_.read([id = std::move(id)](sqlite::Connection& connection) -> Result<Post> {
    if (auto post = find_post(connection, id.view())) return std::move(*post);
    return fail(ErrorCode::kNotFound, "there is no post " + id.str(), "postId");
  });
}

Task<Result<bool>> SqliteContentPages::exists(PostId id) {
  co_return co_await database_.read([id = std::move(id)](sqlite::Connection& connection) -> Result<bool> {
    auto& row = connection.statement(kPostExists).query(id.view());
    bool is_there = row.next();
    row.reset();
    return is_there;
  });
}

Task<Result<std::vector<Post>>> SqliteContentPages::posts(std::vector<PostId> ids) {
  HEARTH_ASSERT(ids.size() <= kPostsPerReadMax);
  co_return co_await database_.read([ids = std::move(ids)](sqlite::Connection& connection) -> Result<std::vector<Post>> {
    std::vector<Post> found;
    found.reserve(ids.size());
    for (const PostId& id : ids) {
      if (auto post = find_post(connection, id.view())) found.push_back(std::move(*post));
    }
    return found;
  });
}

Task<Result<PostPage>> SqliteContentPages::timeline(std::size_t limit, std::optional<PostCursor> after) {
  HEARTH_ASSERT(limit >= 1 && limit <= kTimelinePostsMax);
  co_return co_await database_.read([limit, from = after.value_or(kNewest)](sqlite::Connection& connection) -> Result<PostPage> {
    return page_of(connection.statement(kTimeline).query(micros(from.created_at), from.id, limit + 1), limit);
  });
}

Task<Result<PostPage>> SqliteContentPages::posts_of(UserId author, std::size_t limit, std::optional<PostCursor> after) {
  HEARTH_ASSERT(limit >= 1 && limit <= kUserPostsMax);
  co_return co_await database_.read(
      [author = std::move(author), limit, from = after.value_or(kNewest)](sqlite::Connection& connection) -> Result<PostPage> {
        auto key = author_key(connection, author);
        if (!key) return fail(ErrorCode::kNotFound, "there is no user " + author.str(), "userId");
        return page_of(connection.statement(kPostsOf).query(micros(from.created_at), from.id, limit + 1, *key), limit);
      });
}

}  // namespace hearth::content
