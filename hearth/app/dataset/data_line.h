#pragma once

// One line of the data format (docs/data-format.md): a user, a post, a story, a chapter or a rating as a JSON object.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "hearth/base/clock.h"
#include "hearth/base/ids.h"
#include "hearth/base/result.h"
#include "hearth/content/content.h"
#include "hearth/content/story.h"

namespace hearth::app::dataset {

inline constexpr std::size_t kLineBytesMax = 1'000 * 1024;  // what a server takes as a body holds it
// All at their limits fit: a byte of text takes up to six when it is escaped. Of a chapter, two: few bytes are control
// characters, which alone take six.
static_assert(6 * (content::kPostContentBytesMax + (content::kMediaUrlsMax + 1) * content::kUrlBytesMax) + 4'096 <= kLineBytesMax);
static_assert(2 * (content::kChapterContentBytesMax + content::kTitleBytesMax) + 4'096 <= kLineBytesMax);

struct Rating {
  PostId post;
  SessionId session;
  std::optional<UtcMicros> at = {};

  friend bool operator==(const Rating&, const Rating&) = default;
};

using DataLine = std::variant<content::UserDraft, content::PostDraft, content::StoryDraft, content::ChapterDraft, Rating>;

// Reads a line and checks it against every limit; what it says of others (that an author exists, that a username is free)
// is not looked at. A post has an id. `line` may grow by kJsonPadding bytes of capacity.
Result<DataLine> parse_line(std::string& line);

// Append a line with its newline.
void append_user(std::string& out, const content::User& user);
void append_post(std::string& out, const content::Post& post);
void append_story(std::string& out, const content::Story& story);
void append_chapter(std::string& out, const content::Chapter& chapter);
void append_rating(std::string& out, std::string_view post, std::string_view session, std::string_view created_at);

// RFC 3339 with milliseconds, or with microseconds where there are any.
std::string exact_rfc3339(UtcMicros time);

}  // namespace hearth::app::dataset
