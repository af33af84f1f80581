#include "hearth/views/ledgers/postgres_view_tables.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/run_to_end.h"
#include "hearth/drivers/postgres/migrations.h"
#include "hearth/drivers/postgres/test_server.h"
#include "hearth/outbox/test_loops.h"
#include "hearth/views/ledgers/postgres_view_inbox.h"
#include "hearth/views/ledgers/postgres_view_ledger.h"

namespace hearth::views {
namespace {

using outbox::must;

ViewedItem story(std::string id) {
  return {ViewedKind::kStory, ViewedId::trusted(std::move(id))};
}
ViewedItem chapter(std::string id) {
  return {ViewedKind::kChapter, ViewedId::trusted(std::move(id))};
}

class PostgresViewTablesTest : public testing::Test {
 protected:
  PostgresViewTablesTest() {
    execute(R"(CREATE SCHEMA app; CREATE TABLE app."Story" (id serial PRIMARY KEY, "readCount" integer);
               CREATE TABLE parts (part_id uuid PRIMARY KEY, seen bigint NOT NULL DEFAULT 0);
               CREATE TABLE texts (id varchar(50) PRIMARY KEY, read_count text))");
    execute(R"(INSERT INTO app."Story" VALUES (7, 40), (8, NULL);
               INSERT INTO parts VALUES ('6f9619ff-8b86-4d11-b42d-00c04fc964ff', 3))");
    names = {.stories_table = "app.Story",
             .stories_count_column = "readCount",
             .chapters_table = "parts",
             .chapters_id_column = "part_id",
             .chapters_count_column = "seen"};
  }

  static std::string make_database() {
    static postgres::PostgresServer server;
    auto url = server.create_database("views");
    must(postgres::migrate(*must(postgres::Database::open({.url = url})), postgres::kMigrations));
    return url;
  }
  void execute(const std::string& sql) { postgres::Connection::connect({.url = url}).execute(sql); }
  std::int64_t number(const std::string& sql) { return postgres::Connection::connect({.url = url}).query(sql).first().integer(0); }
  std::string refused() {
    auto tables = PostgresViewTables::find(*database, names);
    return tables ? "" : tables.error().field + ": " + tables.error().message;
  }

  const std::string url = make_database();
  const std::unique_ptr<postgres::Database> database = must(postgres::Database::open({.url = url}));
  ViewTableNames names;
  SimulatedClock clock;
};

constexpr char kUuid[] = "6f9619ff-8b86-4d11-b42d-00c04fc964ff";

TEST_F(PostgresViewTablesTest, TotalsBeginWithTheNumbersThere) {
  PostgresViewLedger ledger(*database, must(PostgresViewTables::find(*database, names)));
  auto totals = must(run_to_end(ledger.totals({story("7"), story("8"), story("07"), story("text"), chapter("7"), chapter(kUuid)})));
  std::vector<std::uint64_t> views;
  for (const auto& total : totals) views.push_back(total.views);
  EXPECT_EQ(views, (std::vector<std::uint64_t>{40, 0, 0, 0, 0, 3}));
}

TEST_F(PostgresViewTablesTest, WhatIsCountedIsBroughtThere) {
  PostgresViewLedger ledger(*database, must(PostgresViewTables::find(*database, names)));
  std::vector<CountedItem> counted{{.item = story("7"), .views = 41},
                                   {.item = story("8"), .views = 5},
                                   {.item = story("07"), .views = 6},
                                   {.item = story("text"), .views = 7},
                                   {.item = chapter(kUuid), .views = 2}};
  auto written = must(run_to_end(ledger.write(counted, clock.now())));
  EXPECT_EQ(number(R"(SELECT "readCount" FROM app."Story" WHERE id = 7)"), 41);
  EXPECT_EQ(number(R"(SELECT "readCount" FROM app."Story" WHERE id = 8)"), 5);
  EXPECT_EQ(number(R"(SELECT count(*) FROM app."Story")"), 2);
  EXPECT_EQ(number("SELECT seen FROM parts"), 3) << "never less";
  EXPECT_EQ(written.back().views, 3u);
  EXPECT_EQ(must(run_to_end(ledger.totals({story("text")}))).front().views, 7u);

  // Another program counted there meanwhile.
  execute(R"(UPDATE app."Story" SET "readCount" = 100 WHERE id = 7)");
  EXPECT_EQ(must(run_to_end(ledger.write({{.item = story("7"), .views = 42}}, clock.now()))).front().views, 100u);
  // What the column cannot hold is as much as it can.
  must(run_to_end(ledger.write({{.item = story("7"), .views = 5'000'000'000}}, clock.now())));
  EXPECT_EQ(number(R"(SELECT "readCount" FROM app."Story" WHERE id = 7)"), 2'147'483'647);
  EXPECT_EQ(must(run_to_end(ledger.totals({story("7")}))).front().views, 5'000'000'000u);
}

TEST_F(PostgresViewTablesTest, HearthsOwnAreKeptRightToo) {
  execute("INSERT INTO stories (id, read_count) VALUES ('7', 50)");
  PostgresViewLedger ledger(*database, must(PostgresViewTables::find(*database, names)));
  EXPECT_EQ(must(run_to_end(ledger.totals({story("7")}))).front().views, 50u);
  must(run_to_end(ledger.write({{.item = story("7"), .views = 51}}, clock.now())));
  EXPECT_EQ(number("SELECT read_count FROM stories"), 51);
  EXPECT_EQ(number(R"(SELECT "readCount" FROM app."Story" WHERE id = 7)"), 51);
}

TEST_F(PostgresViewTablesTest, ViewsThatSqlCountsItselfAreThereAtOnce) {
  PostgresViewInbox inbox(*database, InboxMode::kDirect, std::chrono::hours(24), clock, must(PostgresViewTables::find(*database, names)));
  auto outcome = must(run_to_end(inbox.view({.item = story("7"), .viewer = Viewer{1}})));
  EXPECT_TRUE(outcome.is_first);
  EXPECT_EQ(outcome.views, 41u);
  EXPECT_EQ(number(R"(SELECT "readCount" FROM app."Story" WHERE id = 7)"), 41);
  EXPECT_EQ(must(run_to_end(inbox.totals({chapter(kUuid)}))).front().views, 3u);
}

TEST_F(PostgresViewTablesTest, WhatIsWrongNamesTheSetting) {
  const ViewTableNames right = names;
  EXPECT_EQ(refused(), "");
  names.stories_table = "app.story";
  EXPECT_TRUE(refused().starts_with("views.stories_table: ")) << refused();
  names = right;
  names.stories_count_column = "readcount";
  EXPECT_TRUE(refused().starts_with("views.stories_count_column: ")) << refused();
  names = right;
  names.chapters_id_column = "id";
  EXPECT_TRUE(refused().starts_with("views.chapters_id_column: ")) << refused();
  names = {.chapters_table = "texts"};
  EXPECT_TRUE(refused().starts_with("views.chapters_count_column: ")) << refused();
  names = {.stories_id_column = "story_id"};
  EXPECT_TRUE(refused().starts_with("views.stories_id_column: ")) << "a column alone may have another name";
}

TEST_F(PostgresViewTablesTest, ATableThatMayNotBeWrittenIsRefused) {
  execute("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
  execute("CREATE TABLE read_only (id text PRIMARY KEY, read_count bigint); GRANT SELECT ON read_only TO reader");
  auto as_reader = must(postgres::Database::open({.url = url + (url.contains('?') ? "&" : "?") + "options=-crole%3Dreader"}));
  auto tables = PostgresViewTables::find(*as_reader, {.stories_table = "read_only"});
  ASSERT_FALSE(tables);
  EXPECT_EQ(tables.error().field, "views.stories_table");
  EXPECT_TRUE(tables.error().message.contains("may not")) << tables.error().message;
}

}  // namespace
}  // namespace hearth::views
