#pragma once

// Users and posts in content.db: what writes them.
//
// Promises:
//  - Usernames are unique whatever the case, however many write at once: SQLite has one writer, and the index decides.
//  - A request with an idempotency key takes effect once: its record is written in the transaction of its effect.
//  - A failed call has changed nothing.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <functional>
#include <optional>
#include <variant>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/task.h"
#include "hearth/content/content.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

enum class Change : std::uint8_t { kCreated, kUpdated, kUnchanged };

struct PutUser {
  User user;
  Change change = Change::kUnchanged;
};

struct CreatedPost {
  Post post;
  bool replayed = false;  // the answer of an earlier request with this idempotency key
};

using Draft = std::variant<UserDraft, PostDraft>;

class SqliteContentStore {
 public:
  // `on_posts` is called after posts were written, on the thread of the caller: the projection has work. May be empty.
  SqliteContentStore(sqlite::Database& database, const Clock& clock, std::function<void()> on_posts);

  // Creates the user or replaces all that is said of it. kConflict naming `username`: another user has it.
  Task<Result<PutUser>> put_user(UserDraft draft);

  // kNotFound naming `authorId`: no such user. kConflict naming `id`: there is such a post.
  // With a key, the same request within kIdempotencyKept gets the first answer again, a refusal too; another request
  // with the key gets kIdempotencyKeyReused.
  Task<Result<CreatedPost>> create_post(PostDraft draft, std::optional<IdempotencyKey> key);

  // The post's projected likes are not to be trusted any more: the projection asks the ledger again. Not an error for a post
  // that is not known.
  Task<Result<void>> distrust_likes(PostId id);

  // Makes users and posts be as they are drafted, in order and in one transaction; each succeeds or fails by itself as in
  // put_user(), a post that exists is replaced, and a post without `id` is kInvalidArgument. For imports: repeating it
  // changes nothing. REQUIRES: drafts.size() <= kDraftsPerWriteMax.
  Task<Result<std::vector<Result<Change>>>> put_all(std::vector<Draft> drafts);

 private:
  sqlite::Database& database_;
  const Clock& clock_;
  const std::function<void()> on_posts_;
};

}  // namespace hearth::content
