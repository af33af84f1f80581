#pragma once

// Users and posts in PostgreSQL, written by any number of nodes at once.
//
// Likes: a new post takes its likes from post_counts, whose row it locks before it is inserted, and makes if need be. A
// flush of likes locks that row too before it updates both tables. So whichever comes second sees what the first did.
//
// Locks are taken in this order: the idempotency key, rows of post_counts, users, posts. Two put_all() that write the
// same users in different orders can still wait for each other; PostgreSQL ends one of them, and the driver runs it again.

#include <optional>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/content/content_store.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::content {

class PostgresContentStore final : public ContentStore {
 public:
  PostgresContentStore(postgres::Database& database, const Clock& clock, OnCreated on_created = nullptr)
      : database_(database), clock_(clock), on_created_(std::move(on_created)) {}

  Task<Result<PutUser>> put_user(UserDraft draft) override;
  Task<Result<CreatedPost>> create_post(PostDraft draft, std::optional<IdempotencyKey> key) override;
  // Also leaves rows in post_counts, without likes, for posts that were refused for lack of their author.
  Task<Result<std::vector<Result<Change>>>> put_all(std::vector<Draft> drafts) override;

 private:
  postgres::Database& database_;
  const Clock& clock_;
  const OnCreated on_created_;
};

}  // namespace hearth::content
