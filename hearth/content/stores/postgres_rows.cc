#include "hearth/content/stores/postgres_rows.h"

#include "hearth/content/stores/encoding.h"

namespace hearth::content {

User user_in(const postgres::Rows& row) {
  return User{.id = UserId::trusted(row.string(0)),
              .username = row.string(1),
              .display_name = row.optional_string(2),
              .bio = row.optional_string(3),
              .profile_image_url = row.optional_string(4),
              .created_at = row.time(5)};
}

Post post_in(const postgres::Rows& row) {
  return Post{.id = PostId::trusted(row.string(0)),
              .author = UserId::trusted(row.string(1)),
              .author_username = row.string(2),
              .content = row.optional_string(3),
              .image_url = row.optional_string(4),
              .media_urls = split_lines(row.text(5)),
              .created_at = row.time(6),
              .comments_count = row.integer(7)};
}

std::optional<User> user_of(postgres::Rows rows) {
  if (!rows.next()) return std::nullopt;
  return user_in(rows);
}

std::optional<Post> post_of(postgres::Rows rows) {
  if (!rows.next()) return std::nullopt;
  return post_in(rows);
}

}  // namespace hearth::content
