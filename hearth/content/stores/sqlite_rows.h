#pragma once

// Users and posts as rows of content.db, for the stores on SQLite.

#include <optional>
#include <string_view>

#include "hearth/content/content.h"
#include "hearth/drivers/sqlite/connection.h"

// The columns that user_in() and post_in() read; literals, so that statements can be built around them.
#define HEARTH_SELECT_USER "SELECT id, username, display_name, bio, profile_image_url, created_at FROM users "
#define HEARTH_SELECT_POST                                                                                                       \
  "SELECT p.id, u.id, u.username, p.content, p.image_url, p.media_urls, p.created_at, p.comments_count FROM posts p CROSS JOIN " \
  "users u ON u.key = p.author "

namespace hearth::content {

// The user or post in the current row of a statement that begins with HEARTH_SELECT_USER or HEARTH_SELECT_POST.
User user_in(const sqlite::Statement& row);
Post post_in(const sqlite::Statement& row);
// The user of a statement that finds one at most, and that is over then.
std::optional<User> user_of(sqlite::Statement& row);
std::optional<Post> find_post(sqlite::Connection& connection, std::string_view id);

}  // namespace hearth::content
