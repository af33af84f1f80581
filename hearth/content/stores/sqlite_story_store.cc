#include "hearth/content/stores/sqlite_story_store.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/content/stores/encoding.h"
#include "hearth/content/stores/story_drafts.h"

#define HEARTH_SELECT_STORY "SELECT id, author_id, title, summary, cover_image_url, read_count, created_at, updated_at FROM stories "
#define HEARTH_SELECT_CHAPTER "SELECT id, story_id, title, content, position, read_count, created_at, updated_at FROM chapters "

namespace hearth::content {
namespace {

constexpr char kFindStory[] = HEARTH_SELECT_STORY "WHERE id = ?1";
constexpr char kStories[] = HEARTH_SELECT_STORY "WHERE (created_at, id) < (?1, ?2) ORDER BY created_at DESC, id DESC LIMIT ?3";
constexpr char kInsertStory[] =
    "INSERT INTO stories (id, author_id, title, summary, cover_image_url, read_count, created_at, updated_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr char kUpdateStory[] =
    "UPDATE stories SET author_id = ?2, title = ?3, summary = ?4, cover_image_url = ?5, read_count = ?6, created_at = ?7, "
    "updated_at = ?8 WHERE id = ?1";

constexpr char kFindChapter[] = HEARTH_SELECT_CHAPTER "WHERE id = ?1";
constexpr char kInsertChapter[] =
    "INSERT INTO chapters (id, story_id, title, content, position, read_count, created_at, updated_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr char kUpdateChapter[] =
    "UPDATE chapters SET story_id = ?2, title = ?3, content = ?4, position = ?5, read_count = ?6, created_at = ?7, updated_at = ?8 "
    "WHERE id = ?1";
constexpr char kStoryOf[] = "SELECT story_id FROM chapters WHERE id = ?1";

constexpr char kAllStories[] = HEARTH_SELECT_STORY "ORDER BY id";
constexpr char kAllChapters[] = HEARTH_SELECT_CHAPTER "ORDER BY id";

constexpr char kViews[] = "SELECT views FROM view_counts WHERE kind = ?1 AND item_id = ?2";

std::uint64_t read_count_in(const sqlite::Statement& row, int column) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(row.integer(column), 0));
}

Story story_in(const sqlite::Statement& row) {
  Story story{.id = StoryId::trusted(row.string(0)),
              .title = row.optional_string(2),
              .summary = row.optional_string(3),
              .cover_image_url = row.optional_string(4),
              .read_count = read_count_in(row, 5),
              .created_at = time_of(row.integer(6)),
              .updated_at = time_of(row.integer(7))};
  if (!row.is_null(1)) story.author = UserId::trusted(row.string(1));
  return story;
}

Chapter chapter_in(const sqlite::Statement& row) {
  Chapter chapter{.id = ChapterId::trusted(row.string(0)),
                  .story = StoryId::trusted(row.string(1)),
                  .title = row.optional_string(2),
                  .content = row.optional_string(3),
                  .read_count = read_count_in(row, 5),
                  .created_at = time_of(row.integer(6)),
                  .updated_at = time_of(row.integer(7))};
  if (!row.is_null(4)) chapter.position = row.integer(4);
  return chapter;
}

std::optional<Story> find_story(sqlite::Connection& connection, const StoryId& id) {
  auto& row = connection.statement(kFindStory).query(id.view());
  if (!row.next()) return std::nullopt;
  Story story = story_in(row);
  row.reset();
  return story;
}

std::optional<Chapter> find_chapter(sqlite::Connection& connection, const ChapterId& id) {
  auto& row = connection.statement(kFindChapter).query(id.view());
  if (!row.next()) return std::nullopt;
  Chapter chapter = chapter_in(row);
  row.reset();
  return chapter;
}

std::uint64_t views_of(sqlite::Connection& connection, std::string_view kind, std::string_view id) {
  auto& row = connection.statement(kViews).query(kind, id);
  auto views = row.next() ? static_cast<std::uint64_t>(row.integer(0)) : 0;
  row.reset();
  return views;
}

PutStory put(sqlite::Connection& connection, const StoryDraft& draft, UtcMicros now) {
  auto before = find_story(connection, draft.id);
  Story story = story_from(draft, before, views_of(connection, "story", draft.id.view()), now);
  if (before == story) return {std::move(story), Change::kUnchanged};
  std::optional<std::string_view> author;
  if (story.author) author = story.author->view();
  connection.statement(before ? kUpdateStory : kInsertStory)
      .run(story.id.view(), author, story.title, story.summary, story.cover_image_url, story.read_count, micros(story.created_at),
           micros(story.updated_at));
  return {std::move(story), before ? Change::kUpdated : Change::kCreated};
}

PutChapter put(sqlite::Connection& connection, const ChapterDraft& draft, UtcMicros now) {
  auto before = find_chapter(connection, draft.id);
  Chapter chapter = chapter_from(draft, before, views_of(connection, "chapter", draft.id.view()), now);
  if (before == chapter) return {std::move(chapter), Change::kUnchanged};
  connection.statement(before ? kUpdateChapter : kInsertChapter)
      .run(chapter.id.view(), chapter.story.view(), chapter.title, chapter.content, chapter.position, chapter.read_count,
           micros(chapter.created_at), micros(chapter.updated_at));
  return {std::move(chapter), before ? Change::kUpdated : Change::kCreated};
}

// Above every story: the first page begins here.
const PostCursor kNewest{UtcMicros(std::chrono::microseconds(std::numeric_limits<std::int64_t>::max())), ""};

}  // namespace

Task<Result<PutStory>> SqliteStoryStore::put_story(StoryDraft draft) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write([draft = std::move(draft), now = clock_.now()](sqlite::Connection& connection) -> Result<PutStory> {
    return put(connection, draft, now);
  });
}

Task<Result<PutChapter>> SqliteStoryStore::put_chapter(ChapterDraft draft) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write([draft = std::move(draft), now = clock_.now()](sqlite::Connection& connection) -> Result<PutChapter> {
    return put(connection, draft, now);
  });
}

Task<Result<std::vector<Change>>> SqliteStoryStore::put_all(std::vector<AnyStoryDraft> drafts) {
  HEARTH_ASSERT(drafts.size() <= kDraftsPerWriteMax);
  if (auto ok = check(drafts); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write(
      [drafts = std::move(drafts), now = clock_.now()](sqlite::Connection& connection) -> Result<std::vector<Change>> {
        std::vector<Change> changes;
        changes.reserve(drafts.size());
        for (const auto& draft : drafts)
          changes.push_back(std::visit([&](const auto& each) { return put(connection, each, now).change; }, draft));
        return changes;
      });
}

Task<Result<Story>> SqliteStoryStore::story(StoryId id) {
  co_return co_await database_.read([id = std::move(id)](sqlite::Connection& connection) -> Result<Story> {
    if (auto found = find_story(connection, id)) return std::move(*found);
    return story_missing(id);
  });
}

Task<Result<Chapter>> SqliteStoryStore::chapter(ChapterId id) {
  co_return co_await database_.read([id = std::move(id)](sqlite::Connection& connection) -> Result<Chapter> {
    if (auto found = find_chapter(connection, id)) return std::move(*found);
    return chapter_missing(id);
  });
}

Task<Result<StoryPage>> SqliteStoryStore::stories(std::size_t limit, std::optional<PostCursor> after) {
  HEARTH_ASSERT(limit >= 1 && limit <= kStoriesMax);
  co_return co_await database_.read([limit, from = after.value_or(kNewest)](sqlite::Connection& connection) -> Result<StoryPage> {
    StoryPage page;
    auto& rows = connection.statement(kStories).query(micros(from.created_at), from.id, limit + 1);
    while (rows.next()) page.stories.push_back(story_in(rows));
    return end_page(std::move(page), limit);
  });
}

Task<Result<std::optional<StoryId>>> SqliteStoryStore::story_of(ChapterId chapter) {
  co_return co_await database_.read([chapter = std::move(chapter)](sqlite::Connection& connection) -> Result<std::optional<StoryId>> {
    std::optional<StoryId> story;
    auto& row = connection.statement(kStoryOf).query(chapter.view());
    if (row.next()) story = StoryId::trusted(row.string(0));
    row.reset();
    return story;
  });
}

Result<void> for_each_story(sqlite::Connection& connection, UseStory use_story, UseChapter use_chapter) {
  auto& story = connection.statement(kAllStories).query();
  while (story.next()) {
    if (auto used = use_story(story_in(story)); !used) return used;
  }
  auto& chapter = connection.statement(kAllChapters).query();
  while (chapter.next()) {
    if (auto used = use_chapter(chapter_in(chapter)); !used) return used;
  }
  return {};
}

}  // namespace hearth::content
