#pragma once

// Stories and chapters in SQL: what writes them, and what pages show.
//
// Promises, checked on every implementation by story_store_conformance.h:
//  - A story or chapter begins with the views that SQL knows of it, and its read_count is never made smaller.
//  - A failed call has changed nothing.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <cstddef>
#include <optional>
#include <variant>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/content/content_store.h"
#include "hearth/content/story.h"

namespace hearth::content {

struct PutStory {
  Story story;
  Change change = Change::kUnchanged;
};

struct PutChapter {
  Chapter chapter;
  Change change = Change::kUnchanged;
};

using AnyStoryDraft = std::variant<StoryDraft, ChapterDraft>;

class StoryStore {
 public:
  virtual ~StoryStore() = default;

  // Creates it or replaces all that is said of it. created_at stays where the draft has none; updated_at moves when
  // something changes, be it read_count by an import.
  virtual Task<Result<PutStory>> put_story(StoryDraft draft) = 0;
  virtual Task<Result<PutChapter>> put_chapter(ChapterDraft draft) = 0;

  // Makes all be as they are drafted, in order and in one transaction. For imports: repeating it changes nothing.
  // kInvalidArgument, if a draft is beyond the limits. REQUIRES: drafts.size() <= kDraftsPerWriteMax.
  virtual Task<Result<std::vector<Change>>> put_all(std::vector<AnyStoryDraft> drafts) = 0;

  // kNotFound if there is no such story or chapter.
  virtual Task<Result<Story>> story(StoryId id) = 0;
  virtual Task<Result<Chapter>> chapter(ChapterId id) = 0;

  // All stories, newest first. REQUIRES: 1 <= limit <= kStoriesMax.
  virtual Task<Result<StoryPage>> stories(std::size_t limit, std::optional<PostCursor> after) = 0;

  // The story of a chapter, if the chapter is known here.
  virtual Task<Result<std::optional<StoryId>>> story_of(ChapterId chapter) = 0;
};

}  // namespace hearth::content
