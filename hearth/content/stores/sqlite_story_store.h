#pragma once

// Stories and chapters in content.db.

#include <cstddef>
#include <optional>

#include "hearth/base/clock.h"
#include "hearth/content/story_store.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

class SqliteStoryStore final : public StoryStore {
 public:
  // `content`: content.db. It and the clock outlive the store.
  SqliteStoryStore(sqlite::Database& content, const Clock& clock) : database_(content), clock_(clock) {}

  Task<Result<PutStory>> put_story(StoryDraft draft) override;
  Task<Result<PutChapter>> put_chapter(ChapterDraft draft) override;
  Task<Result<Story>> story(StoryId id) override;
  Task<Result<Chapter>> chapter(ChapterId id) override;
  Task<Result<StoryPage>> stories(std::size_t limit, std::optional<PostCursor> after) override;
  Task<Result<std::optional<StoryId>>> story_of(ChapterId chapter) override;

 private:
  sqlite::Database& database_;
  const Clock& clock_;
};

}  // namespace hearth::content
