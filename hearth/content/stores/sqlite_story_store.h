#pragma once

// Stories and chapters in content.db.

#include <cstddef>
#include <optional>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/content/content_export.h"
#include "hearth/content/story_store.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

class SqliteStoryStore final : public StoryStore {
 public:
  // `content`: content.db. It and the clock outlive the store.
  SqliteStoryStore(sqlite::Database& content, const Clock& clock) : database_(content), clock_(clock) {}

  Task<Result<PutStory>> put_story(StoryDraft draft) override;
  Task<Result<PutChapter>> put_chapter(ChapterDraft draft) override;
  Task<Result<std::vector<Change>>> put_all(std::vector<AnyStoryDraft> drafts) override;
  Task<Result<Story>> story(StoryId id) override;
  Task<Result<Chapter>> chapter(ChapterId id) override;
  Task<Result<StoryPage>> stories(std::size_t limit, std::optional<PostCursor> after) override;
  Task<Result<std::optional<StoryId>>> story_of(ChapterId chapter) override;

 private:
  sqlite::Database& database_;
  const Clock& clock_;
};

// All stories and then all chapters, by the bytes of their ids. Ends at the first failure of what it calls. For one transaction.
Result<void> for_each_story(sqlite::Connection& connection, UseStory use_story, UseChapter use_chapter);

}  // namespace hearth::content
