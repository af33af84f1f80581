#pragma once

// Stories and chapters in PostgreSQL. Who writes one first locks its row of view_counts, as who counts its views does: so
// neither misses what the other wrote.

#include <cstddef>
#include <optional>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/content/content_export.h"
#include "hearth/content/story_store.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::content {

class PostgresStoryStore final : public StoryStore {
 public:
  // The database has been migrated; it and the clock outlive the store.
  PostgresStoryStore(postgres::Database& database, const Clock& clock) : database_(database), clock_(clock) {}

  Task<Result<PutStory>> put_story(StoryDraft draft) override;
  Task<Result<PutChapter>> put_chapter(ChapterDraft draft) override;
  Task<Result<std::vector<Change>>> put_all(std::vector<AnyStoryDraft> drafts) override;
  Task<Result<Story>> story(StoryId id) override;
  Task<Result<Chapter>> chapter(ChapterId id) override;
  Task<Result<StoryPage>> stories(std::size_t limit, std::optional<PostCursor> after) override;
  Task<Result<std::optional<StoryId>>> story_of(ChapterId chapter) override;

 private:
  postgres::Database& database_;
  const Clock& clock_;
};

// All stories and then all chapters, by the bytes of their ids. Ends at the first failure of what it calls. For one transaction.
Result<void> for_each_story(postgres::Connection& connection, UseStory use_story, UseChapter use_chapter);

}  // namespace hearth::content
