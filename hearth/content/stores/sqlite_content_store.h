#pragma once

// Users and posts in content.db. SQLite has one writer, and the index on username_key decides who has a username.

#include <functional>
#include <optional>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/content/content_store.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

class SqliteContentStore final : public ContentStore {
 public:
  // `on_posts` is called after posts were written, on the thread of the caller: the projection has work. Both may be empty.
  SqliteContentStore(sqlite::Database& database, const Clock& clock, std::function<void()> on_posts, OnCreated on_created = nullptr);

  Task<Result<PutUser>> put_user(UserDraft draft) override;
  Task<Result<CreatedPost>> create_post(PostDraft draft, std::optional<IdempotencyKey> key) override;
  Task<Result<std::vector<Result<Change>>>> put_all(std::vector<Draft> drafts) override;

  // The post's projected likes are not to be trusted any more: the projection asks the ledger again. Not an error for a post
  // that is not known.
  Task<Result<void>> distrust_likes(PostId id);

 private:
  sqlite::Database& database_;
  const Clock& clock_;
  const std::function<void()> on_posts_;
  const OnCreated on_created_;
};

}  // namespace hearth::content
