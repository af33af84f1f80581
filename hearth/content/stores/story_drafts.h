#pragma once

// What drafts of stories and chapters become, whatever the database.

#include <optional>
#include <string_view>
#include <vector>

#include "hearth/content/story_store.h"

namespace hearth::content {

// What `draft` asks for. `before` is what is there now, if anything; `views`, the total that SQL knows. updated_at moves only
// if something else changes.
Story story_from(const StoryDraft& draft, const std::optional<Story>& before, std::uint64_t views, UtcMicros now);
Chapter chapter_from(const ChapterDraft& draft, const std::optional<Chapter>& before, std::uint64_t views, UtcMicros now);

// check() of each, up to the first that is beyond the limits.
Result<void> check(const std::vector<AnyStoryDraft>& drafts);

// The page of stories of which more than `limit` were asked for: they tell whether there is a next page.
StoryPage end_page(StoryPage page, std::size_t limit);

std::unexpected<Error> story_missing(const StoryId& id);
std::unexpected<Error> chapter_missing(const ChapterId& id);

}  // namespace hearth::content
