#pragma once

// Users and posts: what writes them.
//
// Promises, checked on every implementation by content_store_conformance.h:
//  - Usernames are unique whatever the case, however many write at once.
//  - A request with an idempotency key takes effect once: its record is written in the transaction of its effect.
//  - A failed call has changed nothing.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <cstdint>
#include <functional>
#include <optional>
#include <variant>
#include <vector>

#include "hearth/base/sql_transaction.h"
#include "hearth/base/task.h"
#include "hearth/content/content.h"

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

// Called in the transaction in which create_post() makes a post, so that what follows from the post commits with it. What it
// throws takes the post back. May run more than once for one request.
using OnCreated = std::function<void(SqlTransaction transaction, const Post& post)>;

class ContentStore {
 public:
  virtual ~ContentStore() = default;

  // Creates the user or replaces all that is said of it. kConflict naming `username`: another user has it.
  virtual Task<Result<PutUser>> put_user(UserDraft draft) = 0;

  // kNotFound naming `authorId`: no such user. kConflict naming `id`: there is such a post.
  // With a key, the same request within kIdempotencyKept gets the first answer again, a refusal too; another request
  // with the key gets kIdempotencyKeyReused.
  virtual Task<Result<CreatedPost>> create_post(PostDraft draft, std::optional<IdempotencyKey> key) = 0;

  // Makes users and posts be as they are drafted, in order and in one transaction; each succeeds or fails by itself as in
  // put_user(), a post that exists is replaced, and a post without `id` is kInvalidArgument. For imports: repeating it
  // changes nothing. REQUIRES: drafts.size() <= kDraftsPerWriteMax.
  virtual Task<Result<std::vector<Result<Change>>>> put_all(std::vector<Draft> drafts) = 0;
};

}  // namespace hearth::content
