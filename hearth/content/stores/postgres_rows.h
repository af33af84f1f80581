#pragma once

// Users and posts as rows of PostgreSQL, for the stores on it.

#include <optional>
#include <string_view>

#include "hearth/content/content.h"
#include "hearth/drivers/postgres/connection.h"

// What user_in() and post_in() read; literals, so that statements can be built around them.
#define HEARTH_POSTGRES_SELECT_USER "SELECT id, username, display_name, bio, profile_image_url, created_at FROM users "
#define HEARTH_POSTGRES_SELECT_POST                                                                              \
  "SELECT p.id, u.id, u.username, p.content, p.image_url, array_to_string(p.media_urls, E'\\n'), p.created_at, " \
  "p.comments_count FROM posts p JOIN users u ON u.id = p.author_id "

namespace hearth::content {

// The user or post in the current row of a statement that begins with the above.
User user_in(const postgres::Rows& row);
Post post_in(const postgres::Rows& row);
// The one user or post of an answer, if it has one.
std::optional<User> user_of(postgres::Rows rows);
std::optional<Post> post_of(postgres::Rows rows);

}  // namespace hearth::content
