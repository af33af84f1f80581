#include "hearth/content/stores/story_drafts.h"

#include <algorithm>

namespace hearth::content {
namespace {

// The times and the number of views of what was drafted.
template <typename Content>
Content settled(Content drafted, const std::optional<Content>& before, std::optional<std::uint64_t> imported,
                std::optional<UtcMicros> created_at, std::uint64_t views, UtcMicros now) {
  drafted.read_count = std::max({before ? before->read_count : 0, imported.value_or(0), views});
  drafted.created_at = created_at.value_or(before ? before->created_at : now);
  drafted.updated_at = before ? before->updated_at : now;
  if (before && drafted != *before) drafted.updated_at = now;
  return drafted;
}

}  // namespace

Story story_from(const StoryDraft& draft, const std::optional<Story>& before, std::uint64_t views, UtcMicros now) {
  Story story{
      .id = draft.id, .author = draft.author, .title = draft.title, .summary = draft.summary, .cover_image_url = draft.cover_image_url};
  return settled(std::move(story), before, draft.read_count, draft.created_at, views, now);
}

Chapter chapter_from(const ChapterDraft& draft, const std::optional<Chapter>& before, std::uint64_t views, UtcMicros now) {
  Chapter chapter{.id = draft.id, .story = draft.story, .title = draft.title, .content = draft.content, .position = draft.position};
  return settled(std::move(chapter), before, draft.read_count, draft.created_at, views, now);
}

Result<void> check(const std::vector<AnyStoryDraft>& drafts) {
  for (const auto& draft : drafts) {
    if (auto ok = std::visit([](const auto& each) { return check(each); }, draft); !ok) return ok;
  }
  return {};
}

StoryPage end_page(StoryPage page, std::size_t limit) {
  if (page.stories.size() <= limit) return page;
  page.stories.erase(page.stories.begin() + static_cast<std::ptrdiff_t>(limit), page.stories.end());
  page.next = PostCursor{page.stories.back().created_at, page.stories.back().id.str()};
  return page;
}

std::unexpected<Error> story_missing(const StoryId& id) {
  return fail(ErrorCode::kNotFound, "there is no story " + id.str(), "storyId");
}

std::unexpected<Error> chapter_missing(const ChapterId& id) {
  return fail(ErrorCode::kNotFound, "there is no chapter " + id.str(), "chapterId");
}

}  // namespace hearth::content
