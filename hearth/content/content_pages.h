#pragma once

// Users and posts as pages show them. Nothing here changes anything.
//
// Checked on every implementation by content_pages_conformance.h. Thread-safe. Coroutines run on the io_context thread of
// their caller.

#include <optional>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/content/content.h"

namespace hearth::content {

class ContentPages {
 public:
  virtual ~ContentPages() = default;

  // kNotFound if there is no such user or post.
  virtual Task<Result<User>> user(UserId id) = 0;
  virtual Task<Result<User>> user_by_username(std::string username) = 0;  // whatever its case
  virtual Task<Result<Post>> post(PostId id) = 0;
  virtual Task<Result<bool>> exists(PostId id) = 0;

  // The posts there are among `ids`, in the order asked. REQUIRES: ids.size() <= kPostsPerReadMax.
  virtual Task<Result<std::vector<Post>>> posts(std::vector<PostId> ids) = 0;

  // All posts, newest first. REQUIRES: 1 <= limit <= kTimelinePostsMax.
  virtual Task<Result<PostPage>> timeline(std::size_t limit, std::optional<PostCursor> after) = 0;

  // A user's posts, newest first; kNotFound if there is no such user. REQUIRES: 1 <= limit <= kUserPostsMax.
  virtual Task<Result<PostPage>> posts_of(UserId author, std::size_t limit, std::optional<PostCursor> after) = 0;
};

}  // namespace hearth::content
