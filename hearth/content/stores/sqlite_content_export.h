#pragma once

// Export of content.db, on a connection that nobody else uses meanwhile; it may be read-only.

#include "hearth/content/content_export.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::content {

class SqliteContentExport final : public ContentExport {
 public:
  explicit SqliteContentExport(sqlite::Connection& connection) : connection_(connection) {}
  Result<void> for_each(UseUser use_user, UsePost use_post) override;
  Result<void> for_each_story(UseStory use_story, UseChapter use_chapter) override;

 private:
  sqlite::Connection& connection_;
};

}  // namespace hearth::content
