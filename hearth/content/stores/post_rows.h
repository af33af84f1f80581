#pragma once

// Posts as rows of content.db, for the stores of this folder.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/content/content.h"
#include "hearth/drivers/sqlite/connection.h"

// The columns that post_in() reads; a literal, so that statements can be built around it.
#define HEARTH_SELECT_POST                                                                                                       \
  "SELECT p.id, u.id, u.username, p.content, p.image_url, p.media_urls, p.created_at, p.comments_count FROM posts p CROSS JOIN " \
  "users u ON u.key = p.author "

namespace hearth::content {

inline std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}
inline UtcMicros time_of(std::int64_t micros) {
  return UtcMicros(std::chrono::microseconds(micros));
}

// The post in the current row of a statement that begins with HEARTH_SELECT_POST.
Post post_in(const sqlite::Statement& row);
std::optional<Post> find_post(sqlite::Connection& connection, std::string_view id);

// URLs hold no newline, so one a line is unambiguous.
std::string join_lines(const std::vector<std::string>& lines);
std::vector<std::string> split_lines(std::string_view text);

}  // namespace hearth::content
