#pragma once

// PostgreSQL's content_jobs.h.

#include "hearth/content/content_jobs.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::content {

class PostgresContentJobs final : public ContentJobs {
 public:
  explicit PostgresContentJobs(postgres::Database& database) : database_(database) {}

  Task<Result<std::vector<std::string>>> find_hot_posts(UtcMicros now, std::size_t limit) override;
  Result<void> keep_hot_posts(SqlTransaction transaction, const std::vector<std::string>& posts) override;
  Result<bool> set_media(SqlTransaction transaction, const PostId& post, const std::string& image_url,
                         const std::vector<std::string>& media_urls) override;
  Task<Result<std::size_t>> prune_idempotency_keys(UtcMicros now, std::size_t limit) override;

 private:
  postgres::Database& database_;
};

}  // namespace hearth::content
