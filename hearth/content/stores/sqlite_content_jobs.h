#pragma once

// SQLite's content_jobs.h.

#include "hearth/content/content_jobs.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

class SqliteContentJobs final : public ContentJobs {
 public:
  explicit SqliteContentJobs(sqlite::Database& database) : database_(database) {}

  Task<Result<std::vector<std::string>>> find_hot_posts(UtcMicros now, std::size_t limit) override;
  Result<void> keep_hot_posts(SqlTransaction transaction, const std::vector<std::string>& posts) override;
  Result<bool> set_media(SqlTransaction transaction, const PostId& post, const std::string& image_url,
                         const std::vector<std::string>& media_urls) override;
  Task<Result<std::size_t>> prune_idempotency_keys(UtcMicros now, std::size_t limit) override;

 private:
  sqlite::Database& database_;
};

}  // namespace hearth::content
