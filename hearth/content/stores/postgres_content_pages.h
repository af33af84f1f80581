#pragma once

// Pages from PostgreSQL.

#include <optional>
#include <string>
#include <vector>

#include "hearth/content/content_pages.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::content {

class PostgresContentPages final : public ContentPages {
 public:
  explicit PostgresContentPages(postgres::Database& database) : database_(database) {}

  Task<Result<User>> user(UserId id) override;
  Task<Result<User>> user_by_username(std::string username) override;
  Task<Result<Post>> post(PostId id) override;
  Task<Result<bool>> exists(PostId id) override;
  Task<Result<std::vector<Post>>> posts(std::vector<PostId> ids) override;
  Task<Result<PostPage>> timeline(std::size_t limit, std::optional<PostCursor> after) override;
  Task<Result<PostPage>> posts_of(UserId author, std::size_t limit, std::optional<PostCursor> after) override;

 private:
  postgres::Database& database_;
};

}  // namespace hearth::content
