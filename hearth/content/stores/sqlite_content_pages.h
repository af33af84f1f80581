#pragma once

// Users and posts in content.db: what pages show. Nothing here changes anything.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <optional>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/content/content.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

class SqliteContentPages {
 public:
  explicit SqliteContentPages(sqlite::Database& database) : database_(database) {}

  // kNotFound if there is no such user or post.
  Task<Result<User>> user(UserId id);
  Task<Result<User>> user_by_username(std::string username);  // whatever its case
  Task<Result<Post>> post(PostId id);
  Task<Result<bool>> exists(PostId id);

  // The posts there are among `ids`, in the order asked. REQUIRES: ids.size() <= kPostsPerReadMax.
  Task<Result<std::vector<Post>>> posts(std::vector<PostId> ids);

  // All posts, newest first. REQUIRES: 1 <= limit <= kTimelinePostsMax.
  Task<Result<PostPage>> timeline(std::size_t limit, std::optional<PostCursor> after);

  // A user's posts, newest first; kNotFound if there is no such user. REQUIRES: 1 <= limit <= kUserPostsMax.
  Task<Result<PostPage>> posts_of(UserId author, std::size_t limit, std::optional<PostCursor> after);

 private:
  sqlite::Database& database_;
};

}  // namespace hearth::content
