#include "hearth/content/story_store_conformance.h"

#include <future>

#include "hearth/content/stores/postgres_content_under_test.h"
#include "hearth/content/stores/postgres_story_store.h"
#include "hearth/content/stores/sqlite_content_under_test.h"
#include "hearth/content/stores/sqlite_story_store.h"

namespace hearth::content {
namespace {

class SqliteStories final : public StoriesUnderTest {
 public:
  explicit SqliteStories(const Clock& clock) : content_(clock), store_(content_.database(), clock) {}
  StoryStore& store(std::size_t) override { return store_; }
  Result<void> for_each_story(UseStory use_story, UseChapter use_chapter) override {
    auto connection = sqlite::Connection::open({.path = content_.folder() / "content.db", .read_only = true}).value();
    return SqliteContentExport(connection).for_each_story(use_story, use_chapter);
  }
  void execute(const std::string& sql) override {
    sqlite::Connection::open({.path = content_.folder() / "content.db"}).value().execute(sql.c_str());
  }

 private:
  SqliteContentUnderTest content_;
  SqliteStoryStore store_;
};

class PostgresStories final : public StoriesUnderTest {
 public:
  explicit PostgresStories(const Clock& clock)
      : content_(clock), first_(content_.database(0), clock), second_(content_.database(1), clock) {}
  StoryStore& store(std::size_t node) override { return node % 2 == 0 ? first_ : second_; }
  Result<void> for_each_story(UseStory use_story, UseChapter use_chapter) override {
    return PostgresContentExport(content_.database(0)).for_each_story(use_story, use_chapter);
  }
  void execute(const std::string& sql) override { connect().execute(sql); }
  postgres::Connection connect() { return postgres::Connection::connect({.url = content_.url()}); }

 private:
  PostgresContentUnderTest content_;
  PostgresStoryStore first_;
  PostgresStoryStore second_;
};

const StoriesMaker kSqlite{"sqlite", [](const Clock& clock) { return std::make_unique<SqliteStories>(clock); }};
const StoriesMaker kPostgres{"postgres", [](const Clock& clock) { return std::make_unique<PostgresStories>(clock); }};

INSTANTIATE_TEST_SUITE_P(Databases, StoryStoreConformance, testing::Values(kSqlite, kPostgres),
                         [](const auto& info) { return info.param.name; });

TEST(PostgresStoryStoreTest, AStoryMadeWhileItsViewsAreWrittenBeginsWithThem) {
  for (bool is_counted_before : {true, false}) {
    SimulatedClock clock;
    PostgresStories stories(clock);
    if (is_counted_before) stories.execute("INSERT INTO view_counts (kind, item_id, views) VALUES ('story', 's', 1)");
    auto counting = stories.connect();
    counting.execute(
        "BEGIN; INSERT INTO view_counts (kind, item_id, views) VALUES ('story', 's', 5) "
        "ON CONFLICT (kind, item_id) DO UPDATE SET views = 5; UPDATE stories SET read_count = 5 WHERE id = 's'");
    auto made = std::async(std::launch::async, [&] { return run_to_end(stories.store(0).put_story({.id = StoryId::trusted("s")})); });
    auto watching = stories.connect();
    while (watching.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
               .first()
               .integer(0) == 0) {
      std::this_thread::yield();
    }
    counting.execute("COMMIT");
    EXPECT_EQ(made.get()->story.read_count, 5u);
  }
}

}  // namespace
}  // namespace hearth::content
