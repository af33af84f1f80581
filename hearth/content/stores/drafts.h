#pragma once

// What drafts become, and why they are refused, whatever the database.

#include <optional>
#include <string>

#include "hearth/content/content.h"
#include "hearth/content/content_store.h"

namespace hearth::content {

// A UUID of version 7: milliseconds, then the fraction of the millisecond in 12 bits, then 62 random bits; ids sort by
// the time they were made at.
PostId new_post_id(UtcMicros now);

// What `draft` asks for. `before` is what is there now, if anything.
User user_from(const UserDraft& draft, const std::optional<User>& before, UtcMicros now);
Post post_from(const PostDraft& draft, PostId id, std::string author_username, const std::optional<Post>& before, UtcMicros now);

Result<void> check(const Draft& draft);

std::unexpected<Error> username_taken();
std::unexpected<Error> post_id_taken();
std::unexpected<Error> author_missing(const UserId& author);

Result<CreatedPost> answer(Result<Post> post, bool replayed);

}  // namespace hearth::content
