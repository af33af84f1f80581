#include "hearth/content/story.h"

#include "hearth/content/field_checks.h"

namespace hearth::content {
namespace {

Result<void> check_read_count(const std::optional<std::uint64_t>& read_count) {
  if (!read_count || *read_count <= kReadCountMax) return {};
  return invalid("readCount", "readCount must be at most " + std::to_string(kReadCountMax));
}

}  // namespace

Result<void> check(const StoryDraft& draft) {
  if (auto ok = check_text(draft.title, kTitleBytesMax, "title"); !ok) return ok;
  if (auto ok = check_text(draft.summary, kSummaryBytesMax, "summary"); !ok) return ok;
  if (draft.cover_image_url) {
    if (auto ok = check_url(*draft.cover_image_url, "coverImageUrl"); !ok) return ok;
  }
  return check_read_count(draft.read_count);
}

Result<void> check(const ChapterDraft& draft) {
  if (auto ok = check_text(draft.title, kTitleBytesMax, "title"); !ok) return ok;
  if (auto ok = check_text(draft.content, kChapterContentBytesMax, "content"); !ok) return ok;
  if (draft.position && (*draft.position < 0 || *draft.position > kPositionMax)) {
    return invalid("position", "position must be from 0 to " + std::to_string(kPositionMax));
  }
  return check_read_count(draft.read_count);
}

}  // namespace hearth::content
