#include "hearth/content/stores/postgres_content_store.h"

#include <string>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/content/stores/drafts.h"
#include "hearth/content/stores/postgres_idempotency_records.h"
#include "hearth/content/stores/postgres_rows.h"
#include "hearth/content/username.h"

namespace hearth::content {
namespace {

constexpr char kLockUser[] = HEARTH_POSTGRES_SELECT_USER "WHERE id = $1 FOR NO KEY UPDATE";
constexpr char kInsertUser[] =
    "INSERT INTO users (id, username, username_key, display_name, bio, profile_image_url, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) "
    "ON CONFLICT DO NOTHING";
constexpr char kUpdateUser[] =
    "UPDATE users SET username = $2, username_key = $3, display_name = $4, bio = $5, profile_image_url = $6, created_at = $7 WHERE id = $1";
constexpr char kFindAuthor[] = "SELECT username FROM users WHERE id = $1";
constexpr char kLockPost[] = HEARTH_POSTGRES_SELECT_POST "WHERE p.id = $1 FOR NO KEY UPDATE OF p";
// An update that changes nothing returns the row as the transaction before this one left it, and locks it.
constexpr char kInsertPost[] =
    "WITH counted AS (INSERT INTO post_counts AS counts (post_id, likes, version) VALUES ($1, 0, 0) "
    "ON CONFLICT (post_id) DO UPDATE SET likes = counts.likes RETURNING likes, version) "
    "INSERT INTO posts (id, author_id, content, image_url, media_urls, created_at, likes, likes_version) "
    "SELECT $1, $2, $3, $4, $5, $6, likes, version FROM counted ON CONFLICT (id) DO NOTHING";
constexpr char kUpdatePost[] =
    "UPDATE posts SET author_id = $2, content = $3, image_url = $4, media_urls = $5, created_at = $6 WHERE id = $1";
// Rows that are not there first, then all, both by the bytes of their ids, as a flush does it: who does it otherwise could hold
// a row that the other waits for.
constexpr char kAddCounts[] =
    "INSERT INTO post_counts (post_id, likes, version) SELECT DISTINCT id COLLATE \"C\" AS id, 0, 0 FROM unnest($1) AS drafted (id) "
    "ORDER BY id ON CONFLICT DO NOTHING";
constexpr char kLockCounts[] = "SELECT FROM post_counts WHERE post_id = ANY($1) ORDER BY post_id FOR UPDATE";

// False: there is such a user, or such a username.
bool insert(postgres::Connection& connection, const User& user, std::string_view username_key) {
  return connection.run(kInsertUser, user.id.view(), user.username, username_key, user.display_name, user.bio, user.profile_image_url,
                        user.created_at) == 1;
}

// False: another user has the username.
bool update(postgres::Connection& connection, const User& user, std::string_view username_key) {
  try {
    connection.savepoint([&] {
      connection.run(kUpdateUser, user.id.view(), user.username, username_key, user.display_name, user.bio, user.profile_image_url,
                     user.created_at);
    });
    return true;
  } catch (const postgres::Failure& failure) {
    if (failure.is_unique_violation()) return false;
    throw;
  }
}

Result<PutUser> put(postgres::Connection& connection, const UserDraft& draft, UtcMicros now) {
  std::string username_key = fold_username(draft.username);
  auto before = user_of(connection.query(kLockUser, draft.id.view()));
  if (!before) {
    User user = user_from(draft, std::nullopt, now);
    if (insert(connection, user, username_key)) return PutUser{std::move(user), Change::kCreated};
    before = user_of(connection.query(kLockUser, draft.id.view()));  // somebody was quicker
    if (!before) return username_taken();
  }
  User user = user_from(draft, before, now);
  if (user == *before) return PutUser{std::move(user), Change::kUnchanged};
  if (!update(connection, user, username_key)) return username_taken();
  return PutUser{std::move(user), Change::kUpdated};
}

Result<std::string> username_of_author(postgres::Connection& connection, const UserId& id) {
  auto rows = connection.query(kFindAuthor, id.view());
  if (!rows.next()) return author_missing(id);
  return rows.string(0);
}

// How many rows changed: 0 if there is such a post for kInsertPost.
std::size_t write(postgres::Connection& connection, const char* sql, const Post& post) {
  return connection.run(sql, post.id.view(), post.author.view(), post.content, post.image_url, post.media_urls, post.created_at);
}

Result<Post> insert(postgres::Connection& connection, const PostDraft& draft, UtcMicros now, const OnCreated& on_created) {
  auto author = username_of_author(connection, draft.author);
  if (!author) return std::unexpected(author.error());
  Post post = post_from(draft, draft.id ? *draft.id : new_post_id(now), *std::move(author), std::nullopt, now);
  if (write(connection, kInsertPost, post) == 0) return post_id_taken();
  if (on_created) on_created(&connection, post);
  return post;
}

Result<Change> put(postgres::Connection& connection, const PostDraft& draft, UtcMicros now) {
  auto author = username_of_author(connection, draft.author);
  if (!author) return std::unexpected(author.error());
  while (true) {
    auto before = post_of(connection.query(kLockPost, draft.id->view()));
    Post post = post_from(draft, *draft.id, *author, before, now);
    if (before == post) return Change::kUnchanged;
    if (write(connection, before ? kUpdatePost : kInsertPost, post) == 1) return before ? Change::kUpdated : Change::kCreated;
    // Another program wrote the post between the two statements.
  }
}

Result<Change> put(postgres::Connection& connection, const Draft& draft, UtcMicros now) {
  if (auto ok = check(draft); !ok) return std::unexpected(ok.error());
  if (const auto* post = std::get_if<PostDraft>(&draft)) return put(connection, *post, now);
  auto user = put(connection, std::get<UserDraft>(draft), now);
  if (!user) return std::unexpected(user.error());
  return user->change;
}

void lock_counts(postgres::Connection& connection, const std::vector<Draft>& drafts) {
  std::vector<std::string_view> ids;
  for (const Draft& draft : drafts) {
    const auto* post = std::get_if<PostDraft>(&draft);
    if (post && check(draft)) ids.push_back(post->id->view());
  }
  connection.run(kAddCounts, ids);
  connection.run(kLockCounts, ids);
}

// The answer to a request with a key: the first one again, or that of `insert`, which is remembered.
Result<CreatedPost> create_once(postgres::Connection& connection, const PostDraft& draft, const IdempotencyKey& key, UtcMicros now,
                                const OnCreated& on_created) {
  auto earlier = claim(connection, key, now);
  if (!earlier) return std::unexpected(earlier.error());
  if (*earlier) return answer(std::move(**earlier), true);
  auto made = insert(connection, draft, now, on_created);
  remember(connection, key, made, now);
  return answer(std::move(made), false);
}

}  // namespace

Task<Result<PutUser>> PostgresContentStore::put_user(UserDraft draft) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write(
      [draft = std::move(draft), now = clock_.now()](postgres::Connection& connection) { return put(connection, draft, now); });
}

Task<Result<CreatedPost>> PostgresContentStore::create_post(PostDraft draft, std::optional<IdempotencyKey> key) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  // The outer Result is the transaction's, the inner one the answer's: a refusal has a record to commit too.
  auto written = co_await database_.write([this, draft = std::move(draft), key = std::move(key),
                                           now = clock_.now()](postgres::Connection& connection) -> Result<Result<CreatedPost>> {
    if (key) return create_once(connection, draft, *key, now, on_created_);
    return answer(insert(connection, draft, now, on_created_), false);
  });
  if (!written) co_return std::unexpected(written.error());
  co_return std::move(*written);
}

Task<Result<std::vector<Result<Change>>>> PostgresContentStore::put_all(std::vector<Draft> drafts) {
  HEARTH_ASSERT(drafts.size() <= kDraftsPerWriteMax);
  co_return co_await database_.write(
      [drafts = std::move(drafts), now = clock_.now()](postgres::Connection& connection) -> Result<std::vector<Result<Change>>> {
        lock_counts(connection, drafts);
        std::vector<Result<Change>> changes;
        changes.reserve(drafts.size());
        for (const Draft& draft : drafts) changes.push_back(put(connection, draft, now));
        return changes;
      });
}

}  // namespace hearth::content
