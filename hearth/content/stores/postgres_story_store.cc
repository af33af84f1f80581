#include "hearth/content/stores/postgres_story_store.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/content/stores/story_drafts.h"

#define HEARTH_POSTGRES_SELECT_STORY \
  "SELECT id, author_id, title, summary, cover_image_url, read_count, created_at, updated_at FROM stories "
#define HEARTH_POSTGRES_SELECT_CHAPTER "SELECT id, story_id, title, content, position, read_count, created_at, updated_at FROM chapters "

namespace hearth::content {
namespace {

constexpr char kFindStory[] = HEARTH_POSTGRES_SELECT_STORY "WHERE id = $1";
constexpr char kLockStory[] = HEARTH_POSTGRES_SELECT_STORY "WHERE id = $1 FOR NO KEY UPDATE";
// One row more than the largest page, as a literal: for a parameter the planner expects a tenth of the table.
constexpr char kStories[] = HEARTH_POSTGRES_SELECT_STORY "WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT 51";
static_assert(kStoriesMax == 50);
constexpr char kInsertStory[] =
    "INSERT INTO stories (id, author_id, title, summary, cover_image_url, read_count, created_at, updated_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";
constexpr char kUpdateStory[] =
    "UPDATE stories SET author_id = $2, title = $3, summary = $4, cover_image_url = $5, read_count = $6, created_at = $7, "
    "updated_at = $8 WHERE id = $1";

constexpr char kFindChapter[] = HEARTH_POSTGRES_SELECT_CHAPTER "WHERE id = $1";
constexpr char kLockChapter[] = HEARTH_POSTGRES_SELECT_CHAPTER "WHERE id = $1 FOR NO KEY UPDATE";
constexpr char kInsertChapter[] =
    "INSERT INTO chapters (id, story_id, title, content, position, read_count, created_at, updated_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";
constexpr char kUpdateChapter[] =
    "UPDATE chapters SET story_id = $2, title = $3, content = $4, position = $5, read_count = $6, created_at = $7, updated_at = $8 "
    "WHERE id = $1";
constexpr char kStoryOf[] = "SELECT story_id FROM chapters WHERE id = $1";

constexpr char kNextStories[] = HEARTH_POSTGRES_SELECT_STORY "WHERE id > $1 ORDER BY id LIMIT 1000";
// Fewer, as chapters are long.
constexpr char kNextChapters[] = HEARTH_POSTGRES_SELECT_CHAPTER "WHERE id > $1 ORDER BY id LIMIT 50";

constexpr char kAddViews[] = "INSERT INTO view_counts (kind, item_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
constexpr char kLockViews[] = "SELECT views FROM view_counts WHERE kind = $1 AND item_id = $2 FOR UPDATE";

// Above every story. Cursors hold any 64-bit time; the server knows the years from -4713 to 294276.
constexpr UtcMicros kLastTime{std::chrono::days(3'000'000)};
constexpr UtcMicros kFirstTime{std::chrono::days(-1'500'000)};

PostCursor start_of(const std::optional<PostCursor>& after) {
  if (!after) return {kLastTime, ""};
  return {std::clamp(after->created_at, kFirstTime, kLastTime), after->id};
}

std::uint64_t read_count_in(const postgres::Rows& row, int column) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(row.integer(column), 0));
}

Story story_in(const postgres::Rows& row) {
  Story story{.id = StoryId::trusted(row.string(0)),
              .title = row.optional_string(2),
              .summary = row.optional_string(3),
              .cover_image_url = row.optional_string(4),
              .read_count = read_count_in(row, 5),
              .created_at = row.time(6),
              .updated_at = row.time(7)};
  if (!row.is_null(1)) story.author = UserId::trusted(row.string(1));
  return story;
}

Chapter chapter_in(const postgres::Rows& row) {
  Chapter chapter{.id = ChapterId::trusted(row.string(0)),
                  .story = StoryId::trusted(row.string(1)),
                  .title = row.optional_string(2),
                  .content = row.optional_string(3),
                  .read_count = read_count_in(row, 5),
                  .created_at = row.time(6),
                  .updated_at = row.time(7)};
  if (!row.is_null(4)) chapter.position = row.integer(4);
  return chapter;
}

std::optional<Story> first_story(postgres::Rows rows) {
  if (!rows.next()) return std::nullopt;
  return story_in(rows);
}

std::optional<Chapter> first_chapter(postgres::Rows rows) {
  if (!rows.next()) return std::nullopt;
  return chapter_in(rows);
}

std::uint64_t lock_views(postgres::Connection& connection, std::string_view kind, std::string_view id) {
  connection.run(kAddViews, kind, id);
  return static_cast<std::uint64_t>(connection.query(kLockViews, kind, id).first().integer(0));
}

// False: another program was quicker to make it.
bool write(postgres::Connection& connection, const char* sql, const Story& story) {
  std::optional<std::string_view> author;
  if (story.author) author = story.author->view();
  return connection.run(sql, story.id.view(), author, story.title, story.summary, story.cover_image_url, story.read_count, story.created_at,
                        story.updated_at) == 1;
}

bool write(postgres::Connection& connection, const char* sql, const Chapter& chapter) {
  return connection.run(sql, chapter.id.view(), chapter.story.view(), chapter.title, chapter.content, chapter.position, chapter.read_count,
                        chapter.created_at, chapter.updated_at) == 1;
}

PutStory put(postgres::Connection& connection, const StoryDraft& draft, UtcMicros now) {
  auto views = lock_views(connection, "story", draft.id.view());
  while (true) {
    auto before = first_story(connection.query(kLockStory, draft.id.view()));
    Story story = story_from(draft, before, views, now);
    if (before == story) return {std::move(story), Change::kUnchanged};
    if (write(connection, before ? kUpdateStory : kInsertStory, story))
      return {std::move(story), before ? Change::kUpdated : Change::kCreated};
  }
}

PutChapter put(postgres::Connection& connection, const ChapterDraft& draft, UtcMicros now) {
  auto views = lock_views(connection, "chapter", draft.id.view());
  while (true) {
    auto before = first_chapter(connection.query(kLockChapter, draft.id.view()));
    Chapter chapter = chapter_from(draft, before, views, now);
    if (before == chapter) return {std::move(chapter), Change::kUnchanged};
    if (write(connection, before ? kUpdateChapter : kInsertChapter, chapter)) {
      return {std::move(chapter), before ? Change::kUpdated : Change::kCreated};
    }
  }
}

}  // namespace

Task<Result<PutStory>> PostgresStoryStore::put_story(StoryDraft draft) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write([draft = std::move(draft), now = clock_.now()](postgres::Connection& connection) -> Result<PutStory> {
    return put(connection, draft, now);
  });
}

Task<Result<PutChapter>> PostgresStoryStore::put_chapter(ChapterDraft draft) {
  if (auto ok = check(draft); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write([draft = std::move(draft), now = clock_.now()](
                                         postgres::Connection& connection) -> Result<PutChapter> { return put(connection, draft, now); });
}

Task<Result<std::vector<Change>>> PostgresStoryStore::put_all(std::vector<AnyStoryDraft> drafts) {
  HEARTH_ASSERT(drafts.size() <= kDraftsPerWriteMax);
  if (auto ok = check(drafts); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write(
      [drafts = std::move(drafts), now = clock_.now()](postgres::Connection& connection) -> Result<std::vector<Change>> {
        std::vector<Change> changes;
        changes.reserve(drafts.size());
        for (const auto& draft : drafts)
          changes.push_back(std::visit([&](const auto& each) { return put(connection, each, now).change; }, draft));
        return changes;
      });
}

Task<Result<Story>> PostgresStoryStore::story(StoryId id) {
  co_return co_await database_.read([id = std::move(id)](postgres::Connection& connection) -> Result<Story> {
    if (auto found = first_story(connection.query(kFindStory, id.view()))) return std::move(*found);
    return story_missing(id);
  });
}

Task<Result<Chapter>> PostgresStoryStore::chapter(ChapterId id) {
  co_return co_await database_.read([id = std::move(id)](postgres::Connection& connection) -> Result<Chapter> {
    if (auto found = first_chapter(connection.query(kFindChapter, id.view()))) return std::move(*found);
    return chapter_missing(id);
  });
}

Task<Result<StoryPage>> PostgresStoryStore::stories(std::size_t limit, std::optional<PostCursor> after) {
  HEARTH_ASSERT(limit >= 1 && limit <= kStoriesMax);
  co_return co_await database_.read([limit, from = start_of(after)](postgres::Connection& connection) -> Result<StoryPage> {
    StoryPage page;
    auto rows = connection.query(kStories, from.created_at, from.id);
    while (rows.next()) page.stories.push_back(story_in(rows));
    return end_page(std::move(page), limit);
  });
}

Task<Result<std::optional<StoryId>>> PostgresStoryStore::story_of(ChapterId chapter) {
  co_return co_await database_.read([chapter = std::move(chapter)](postgres::Connection& connection) -> Result<std::optional<StoryId>> {
    std::optional<StoryId> story;
    auto row = connection.query(kStoryOf, chapter.view());
    if (row.next()) story = StoryId::trusted(row.string(0));
    return story;
  });
}

Result<void> for_each_story(postgres::Connection& connection, UseStory use_story, UseChapter use_chapter) {
  auto for_each = [&](const char* next, auto use) -> Result<void> {
    for (std::string last;;) {
      auto rows = connection.query(next, last);
      if (rows.size() == 0) return {};
      while (rows.next()) {
        if (auto used = use(rows); !used) return used;
        last = rows.string(0);
      }
    }
  };
  auto stories = for_each(kNextStories, [&](const postgres::Rows& row) { return use_story(story_in(row)); });
  if (!stories) return stories;
  return for_each(kNextChapters, [&](const postgres::Rows& row) { return use_chapter(chapter_in(row)); });
}

}  // namespace hearth::content
