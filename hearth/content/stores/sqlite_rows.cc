#include "hearth/content/stores/sqlite_rows.h"

#include <utility>

#include "hearth/content/stores/encoding.h"

namespace hearth::content {
namespace {

constexpr char kFindPost[] = HEARTH_SELECT_POST "WHERE p.id = ?1";

}  // namespace

User user_in(const sqlite::Statement& row) {
  return User{.id = UserId::trusted(row.string(0)),
              .username = row.string(1),
              .display_name = row.optional_string(2),
              .bio = row.optional_string(3),
              .profile_image_url = row.optional_string(4),
              .created_at = time_of(row.integer(5))};
}

Post post_in(const sqlite::Statement& row) {
  return Post{.id = PostId::trusted(row.string(0)),
              .author = UserId::trusted(row.string(1)),
              .author_username = row.string(2),
              .content = row.optional_string(3),
              .image_url = row.optional_string(4),
              .media_urls = split_lines(row.text(5)),
              .created_at = time_of(row.integer(6)),
              .comments_count = row.integer(7)};
}

std::optional<User> user_of(sqlite::Statement& row) {
  if (!row.next()) return std::nullopt;
  User user = user_in(row);
  row.reset();
  return user;
}

std::optional<Post> find_post(sqlite::Connection& connection, std::string_view id) {
  auto& row = connection.statement(kFindPost).query(id);
  if (!row.next()) return std::nullopt;
  Post post = post_in(row);
  row.reset();
  return post;
}

}  // namespace hearth::content
