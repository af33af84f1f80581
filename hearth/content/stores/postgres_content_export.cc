#include "hearth/content/stores/postgres_content_export.h"

#include <string>
#include <utility>

#include "hearth/content/stores/postgres_rows.h"
#include "hearth/content/stores/postgres_story_store.h"

namespace hearth::content {
namespace {

constexpr char kUsers[] = HEARTH_POSTGRES_SELECT_USER "WHERE id > $1 ORDER BY id LIMIT 1000";
constexpr char kPosts[] = HEARTH_POSTGRES_SELECT_POST "WHERE p.id > $1 ORDER BY p.id LIMIT 1000";

Result<void> for_each_user(postgres::Connection& connection, UseUser use) {
  std::string last;
  while (true) {
    auto rows = connection.query(kUsers, last);
    if (rows.size() == 0) return {};
    while (rows.next()) {
      if (auto used = use(user_in(rows)); !used) return used;
      last = rows.string(0);
    }
  }
}

Result<void> for_each_post(postgres::Connection& connection, UsePost use) {
  std::string last;
  while (true) {
    auto rows = connection.query(kPosts, last);
    if (rows.size() == 0) return {};
    while (rows.next()) {
      if (auto used = use(post_in(rows)); !used) return used;
      last = rows.string(0);
    }
  }
}

// What was handed out already cannot be taken back: the read is not begun anew.
template <typename Use>
Result<void> read_once(postgres::Database& database, Use use) {
  bool has_begun = false;
  return database.read_blocking([&](postgres::Connection& connection) -> Result<void> {
    if (std::exchange(has_begun, true)) return fail(ErrorCode::kUnavailable, "the connection to the database was lost during the export");
    return use(connection);
  });
}

}  // namespace

Result<void> PostgresContentExport::for_each(UseUser use_user, UsePost use_post) {
  return read_once(database_, [&](postgres::Connection& connection) -> Result<void> {
    if (auto users = for_each_user(connection, use_user); !users) return users;
    return for_each_post(connection, use_post);
  });
}

Result<void> PostgresContentExport::for_each_story(UseStory use_story, UseChapter use_chapter) {
  return read_once(database_,
                   [&](postgres::Connection& connection) { return content::for_each_story(connection, use_story, use_chapter); });
}

}  // namespace hearth::content
