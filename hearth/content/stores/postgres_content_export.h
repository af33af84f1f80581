#pragma once

// Export of content from PostgreSQL.

#include "hearth/content/content_export.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::content {

class PostgresContentExport final : public ContentExport {
 public:
  explicit PostgresContentExport(postgres::Database& database) : database_(database) {}
  // kUnavailable: also if the connection was lost on the way, for what was used cannot be taken back.
  Result<void> for_each(UseUser use_user, UsePost use_post) override;
  Result<void> for_each_story(UseStory use_story, UseChapter use_chapter) override;

 private:
  postgres::Database& database_;
};

}  // namespace hearth::content
