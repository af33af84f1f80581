#include "hearth/content/stores/sqlite_content_store.h"

#include <utility>

#include "hearth/base/assert.h"
#include "hearth/content/stores/drafts.h"
#include "hearth/content/stores/encoding.h"
#include "hearth/content/stores/sqlite_idempotency_records.h"
#include "hearth/content/stores/sqlite_rows.h"
#include "hearth/content/username.h"

namespace hearth::content {
namespace {

constexpr char kFindUser[] = HEARTH_SELECT_USER "WHERE id = ?1";
constexpr char kFindUsername[] = "SELECT id FROM users WHERE username_key = ?1";
constexpr char kDistrustLikes[] = "UPDATE posts SET likes_version = NULL WHERE id = ?1";
constexpr char kInsertUser[] =
    "INSERT INTO users (id, username, username_key, display_name, bio, profile_image_url, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
constexpr char kUpdateUser[] =
    "UPDATE users SET username = ?2, username_key = ?3, display_name = ?4, bio = ?5, profile_image_url = ?6, created_at = ?7 WHERE id = ?1";
constexpr char kFindAuthor[] = "SELECT key, username FROM users WHERE id = ?1";
constexpr char kInsertPost[] = "INSERT INTO posts (id, author, content, image_url, media_urls, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr char kUpdatePost[] = "UPDATE posts SET author = ?2, content = ?3, image_url = ?4, media_urls = ?5, created_at = ?6 WHERE id = ?1";

bool is_taken_by_another(sqlite::Connection& connection, std::string_view username_key, const UserId& id) {
  auto& row = connection.statement(kFindUsername).query(username_key);
  bool is_taken = row.next() && row.text(0) != id.view();
  row.reset();
  return is_taken;
}

Result<PutUser> put(sqlite::Connection& connection, const UserDraft& draft, UtcMicros now) {
  auto before = user_of(connection.statement(kFindUser).query(draft.id.view()));
  User user = user_from(draft, before, now);
  if (before == user) return PutUser{std::move(user), Change::kUnchanged};

  std::string username_key = fold_username(draft.username);
  if (is_taken_by_another(connection, username_key, draft.id)) return username_taken();
  connection.statement(before ? kUpdateUser : kInsertUser)
      .run(user.id.view(), user.username, username_key, user.display_name, user.bio, user.profile_image_url, micros(user.created_at));
  return PutUser{std::move(user), before ? Change::kUpdated : Change::kCreated};
}

struct Author {
  std::int64_t key = 0;
  std::string username;
};

Result<Author> find_author(sqlite::Connection& connection, const UserId& id) {
  auto& row = connection.statement(kFindAuthor).query(id.view());
  if (!row.next()) return author_missing(id);
  Author author{row.integer(0), row.string(1)};
  row.reset();
  return author;
}

void write(sqlite::Connection& connection, const char* sql, const Post& post, const Author& author) {
  std::string media_urls = join_lines(post.media_urls);
  connection.statement(sql).run(post.id.view(), author.key, post.content, post.image_url, media_urls, micros(post.created_at));
}

Result<Post> insert(sqlite::Connection& connection, const PostDraft& draft, UtcMicros now, const OnCreated& on_created) {
  auto author = find_author(connection, draft.author);
  if (!author) return std::unexpected(author.error());
  if (draft.id && find_post(connection, draft.id->view())) return post_id_taken();
  Post post = post_from(draft, draft.id ? *draft.id : new_post_id(now), author->username, std::nullopt, now);
  write(connection, kInsertPost, post, *author);
  if (on_created) on_created(&connection, post);
  return post;
}

Result<Change> put(sqlite::Connection& connection, const PostDraft& draft, UtcMicros now) {
  auto author = find_author(connection, draft.author);
  if (!author) return std::unexpected(author.error());
  auto before = find_post(connection, draft.id->view());
  Post post = post_from(draft, *draft.id, author->username, before, now);
  if (before == post) return Change::kUnchanged;
  write(connection, before ? kUpdatePost : kInsertPost, post, *author);
  return before ? Change::kUpdated : Change::kCreated;
}

Result<Change> put(sqlite::Connection& connection, const Draft& draft, UtcMicros now) {
  if (auto ok = check(draft); !ok) return std::unexpected(ok.error());
  if (const auto* post = std::get_if<PostDraft>(&draft)) return put(connection, *post, now);
  auto user = put(connection, std::get<UserDraft>(draft), now);
  if (!user) return std::unexpected(user.error());
  return user->change;
}

// The answer to a request with a key: the first one again, or that of `insert`, which is remembered.
Result<CreatedPost> create_once(sqlite::Connection& connection, const PostDraft& draft, const IdempotencyKey& key, UtcMicros now,
                                const OnCreated& on_created) {
  auto earlier = recall(connection, key, now);
  if (!earlier) return std::unexpected(earlier.error());
  if (*earlier) return answer(std::move(**earlier), true);
  auto made = insert(connection, draft, now, on_created);
  remember(connection, key, made, now);
  return answer(std::move(made), false);
}

}  // namespace

SqliteContentStore::SqliteContentStore(sqlite::Database& database, const Clock& clock, std::function<void()> on_posts, OnCreated on_created)
    : database_(database), clock_(clock), on_posts_(std::move(on_posts)), on_created_(std::move(on_created)) {}

Task<Result<PutUser>> SqliteContentStore::put_user(UserDraft draft) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write(
      [draft = std::move(draft), now = clock_.now()](sqlite::Connection& connection) { return put(connection, draft, now); });
}

Task<Result<void>> SqliteContentStore::distrust_likes(PostId id) {
  auto done = co_await database_.write([id = std::move(id)](sqlite::Connection& connection) -> Result<void> {
    connection.statement(kDistrustLikes).run(id.view());
    return {};
  });
  if (done && on_posts_) on_posts_();
  co_return done;
}

Task<Result<CreatedPost>> SqliteContentStore::create_post(PostDraft draft, std::optional<IdempotencyKey> key) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  // The outer Result is the transaction's, the inner one the answer's: a refusal has a record to commit too.
  auto written = co_await database_.write([this, draft = std::move(draft), key = std::move(key),
                                           now = clock_.now()](sqlite::Connection& connection) -> Result<Result<CreatedPost>> {
    if (key) return create_once(connection, draft, *key, now, on_created_);
    return answer(insert(connection, draft, now, on_created_), false);
  });
  if (!written) co_return std::unexpected(written.error());
  if (*written && on_posts_) on_posts_();
  co_return std::move(*written);
}

Task<Result<std::vector<Result<Change>>>> SqliteContentStore::put_all(std::vector<Draft> drafts) {
  HEARTH_ASSERT(drafts.size() <= kDraftsPerWriteMax);
  auto written = co_await database_.write(
      [drafts = std::move(drafts), now = clock_.now()](sqlite::Connection& connection) -> Result<std::vector<Result<Change>>> {
        std::vector<Result<Change>> changes;
        changes.reserve(drafts.size());
        for (const Draft& draft : drafts) changes.push_back(put(connection, draft, now));
        return changes;
      });
  if (written && on_posts_) on_posts_();
  co_return written;
}

}  // namespace hearth::content
