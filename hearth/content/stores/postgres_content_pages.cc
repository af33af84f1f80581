#include "hearth/content/stores/postgres_content_pages.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/content/stores/postgres_rows.h"
#include "hearth/content/username.h"

namespace hearth::content {
namespace {

constexpr char kFindUser[] = HEARTH_POSTGRES_SELECT_USER "WHERE id = $1";
constexpr char kFindUsername[] = HEARTH_POSTGRES_SELECT_USER "WHERE username_key = $1";
constexpr char kFindPost[] = HEARTH_POSTGRES_SELECT_POST "WHERE p.id = $1";
constexpr char kPostExists[] = "SELECT EXISTS (SELECT FROM posts WHERE id = $1)";
constexpr char kUserExists[] = "SELECT EXISTS (SELECT FROM users WHERE id = $1)";
constexpr char kPosts[] =
    HEARTH_POSTGRES_SELECT_POST "JOIN unnest($1) WITH ORDINALITY AS asked (id, place) ON asked.id = p.id ORDER BY asked.place";
// One row more than the largest page: it tells whether there is a next one. A literal limit, because for a parameter the
// planner expects a tenth of the table.
constexpr char kTimeline[] =
    HEARTH_POSTGRES_SELECT_POST "WHERE (p.created_at, p.id) < ($1, $2) ORDER BY p.created_at DESC, p.id DESC LIMIT 51";
constexpr char kPostsOf[] =
    HEARTH_POSTGRES_SELECT_POST "WHERE p.author_id = $3 AND (p.created_at, p.id) < ($1, $2) ORDER BY p.created_at DESC, p.id DESC LIMIT 21";
static_assert(kTimelinePostsMax == 50 && kUserPostsMax == 20);

// Above every post. Cursors hold any 64-bit time; the server knows the years from -4713 to 294276.
constexpr UtcMicros kLastTime{std::chrono::days(3'000'000)};
constexpr UtcMicros kFirstTime{std::chrono::days(-1'500'000)};

PostCursor start_of(const std::optional<PostCursor>& after) {
  if (!after) return {kLastTime, ""};
  return {std::clamp(after->created_at, kFirstTime, kLastTime), after->id};
}

PostPage page_of(postgres::Rows rows, std::size_t limit) {
  PostPage page;
  while (rows.next()) {
    if (page.posts.size() == limit) {
      page.next = PostCursor{page.posts.back().created_at, page.posts.back().id.str()};
      break;
    }
    page.posts.push_back(post_in(rows));
  }
  return page;
}

bool exists_in(postgres::Connection& connection, std::string_view sql, std::string_view id) {
  return connection.query(sql, id).first().boolean(0);
}

}  // namespace

Task<Result<User>> PostgresContentPages::user(UserId id) {
  co_return co_await database_.read([id = std::move(id)](postgres::Connection& connection) -> Result<User> {
    if (auto user = user_of(connection.query(kFindUser, id.view()))) return std::move(*user);
    return fail(ErrorCode::kNotFound, "there is no user " + id.str(), "userId");
  });
}

Task<Result<User>> PostgresContentPages::user_by_username(std::string username) {
  if (!is_valid_username(username)) co_return fail(ErrorCode::kNotFound, "there is no user of this name", "username");
  co_return co_await database_.read([key = fold_username(username)](postgres::Connection& connection) -> Result<User> {
    if (auto user = user_of(connection.query(kFindUsername, key))) return std::move(*user);
    return fail(ErrorCode::kNotFound, "there is no user of this name", "username");
  });
}

Task<Result<Post>> PostgresContentPages::post(PostId id) {
  co_return co_await database_.read([id = std::move(id)](postgres::Connection& connection) -> Result<Post> {
    if (auto post = post_of(connection.query(kFindPost, id.view()))) return std::move(*post);
    return fail(ErrorCode::kNotFound, "there is no post " + id.str(), "postId");
  });
}

Task<Result<bool>> PostgresContentPages::exists(PostId id) {
  co_return co_await database_.read(
      [id = std::move(id)](postgres::Connection& connection) -> Result<bool> { return exists_in(connection, kPostExists, id.view()); });
}

Task<Result<std::vector<Post>>> PostgresContentPages::posts(std::vector<PostId> ids) {
  HEARTH_ASSERT(ids.size() <= kPostsPerReadMax);
  co_return co_await database_.read([ids = std::move(ids)](postgres::Connection& connection) -> Result<std::vector<Post>> {
    std::vector<std::string_view> asked;
    asked.reserve(ids.size());
    for (const PostId& id : ids) asked.push_back(id.view());
    auto rows = connection.query(kPosts, asked);
    std::vector<Post> found;
    while (rows.next()) found.push_back(post_in(rows));
    return found;
  });
}

Task<Result<PostPage>> PostgresContentPages::timeline(std::size_t limit, std::optional<PostCursor> after) {
  HEARTH_ASSERT(limit >= 1 && limit <= kTimelinePostsMax);
  co_return co_await database_.read([limit, from = start_of(after)](postgres::Connection& connection) -> Result<PostPage> {
    return page_of(connection.query(kTimeline, from.created_at, from.id), limit);
  });
}

Task<Result<PostPage>> PostgresContentPages::posts_of(UserId author, std::size_t limit, std::optional<PostCursor> after) {
  HEARTH_ASSERT(limit >= 1 && limit <= kUserPostsMax);
  co_return co_await database_.read(
      [author = std::move(author), limit, from = start_of(after)](postgres::Connection& connection) -> Result<PostPage> {
        auto page = page_of(connection.query(kPostsOf, from.created_at, from.id, author.view()), limit);
        if (page.posts.empty() && !exists_in(connection, kUserExists, author.view())) {
          return fail(ErrorCode::kNotFound, "there is no user " + author.str(), "userId");
        }
        return page;
      });
}

}  // namespace hearth::content
