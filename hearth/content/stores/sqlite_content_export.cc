#include "hearth/content/stores/sqlite_content_export.h"

#include "hearth/content/stores/sqlite_rows.h"
#include "hearth/content/stores/sqlite_story_store.h"

namespace hearth::content {
namespace {

constexpr char kUsers[] = HEARTH_SELECT_USER "ORDER BY id";
constexpr char kPosts[] = HEARTH_SELECT_POST "ORDER BY p.id";

}  // namespace

Result<void> SqliteContentExport::for_each(UseUser use_user, UsePost use_post) {
  return connection_.snapshot([&]() -> Result<void> {
    auto& user = connection_.statement(kUsers).query();
    while (user.next()) {
      if (auto used = use_user(user_in(user)); !used) return used;
    }
    auto& post = connection_.statement(kPosts).query();
    while (post.next()) {
      if (auto used = use_post(post_in(post)); !used) return used;
    }
    return {};
  });
}

Result<void> SqliteContentExport::for_each_story(UseStory use_story, UseChapter use_chapter) {
  return connection_.snapshot([&] { return content::for_each_story(connection_, use_story, use_chapter); });
}

}  // namespace hearth::content
