#include "hearth/drivers/postgres/migrations.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hearth/drivers/postgres/test_server.h"

namespace hearth::postgres {
namespace {

constexpr std::array<std::string_view, 3> kSteps = {
    "CREATE TABLE letters (letter text);",
    "INSERT INTO letters VALUES ('a'); INSERT INTO letters VALUES ('b');",
    "ALTER TABLE letters ADD COLUMN position integer; UPDATE letters SET position = 1;",
};

std::string fresh_database() {
  static PostgresServer server;
  return server.create_database("migrations");
}

class MigrationsTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open(const std::string& suffix = "") {
    return Database::open({.url = url_ + suffix, .connections = 1}).value();
  }
  void execute(const std::string& sql) { Connection::connect({.url = url_}).execute(sql); }
  std::int64_t number(const std::string& sql) { return Connection::connect({.url = url_}).query(sql).first().integer(0); }

  std::string url_ = fresh_database();
  std::unique_ptr<Database> database_ = open();
};

TEST_F(MigrationsTest, StepsAreAppliedOnceAndInOrder) {
  EXPECT_EQ(migrate(*database_, std::span(kSteps).first(2)).value(), 2);
  EXPECT_EQ(migrate(*database_, kSteps).value(), 1);
  EXPECT_EQ(migrate(*database_, kSteps).value(), 0);
  EXPECT_EQ(number("SELECT count(*) FROM letters WHERE position = 1"), 2);
}

TEST_F(MigrationsTest, NodesThatStartAtOnceTakeTurns) {
  std::atomic<int> applied = 0;
  std::vector<std::jthread> nodes;
  for (int i = 0; i < 6; ++i) {
    nodes.emplace_back([&] { applied += migrate(*open(), kSteps).value(); });
  }
  nodes.clear();
  EXPECT_EQ(applied, 3);
  EXPECT_EQ(number("SELECT count(*) FROM letters"), 2);
}

TEST_F(MigrationsTest, AStepThatFailsHalfwayLeavesNothingOfItselfAndTheEarlierOnesStay) {
  constexpr std::array<std::string_view, 2> kBroken = {kSteps[0], "INSERT INTO letters VALUES ('a'); INSERT INTO nowhere VALUES (1);"};
  auto failed = migrate(*database_, kBroken);
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message.starts_with("migration 2: ")) << failed.error().message;
  EXPECT_EQ(number("SELECT count(*) FROM letters"), 0);
  EXPECT_EQ(migrate(*database_, kSteps).value(), 2);
}

TEST_F(MigrationsTest, ADatabaseOfANewerHearthIsRefused) {
  ASSERT_TRUE(migrate(*database_, kSteps));
  auto refused = migrate(*database_, std::span(kSteps).first(2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
}

TEST_F(MigrationsTest, ATableOfAnotherProgramIsNotTouchedAndTheErrorSaysWhatToDo) {
  execute("CREATE TABLE letters (sender text)");
  auto refused = migrate(*database_, kSteps);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find("letters"), std::string::npos);
  EXPECT_NE(refused.error().message.find("?options=-csearch_path"), std::string::npos) << refused.error().message;
}

TEST_F(MigrationsTest, TheTablesGoIntoASchemaOfTheirOwnIfTheUrlSaysSo) {
  execute("CREATE TABLE letters (sender text)");
  auto own = open("?options=-csearch_path%3Dhearth,public");
  EXPECT_EQ(migrate(*own, kSteps).value(), 3);
  EXPECT_EQ(migrate(*own, kSteps).value(), 0);
  EXPECT_EQ(number("SELECT count(*) FROM hearth.letters"), 2);
  EXPECT_EQ(number("SELECT count(*) FROM public.letters"), 0);
}

TEST_F(MigrationsTest, HearthsOwnStepsApplyToAnEmptyDatabase) {
  EXPECT_EQ(migrate(*database_, kMigrations).value(), static_cast<int>(kMigrations.size()));
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings"), 0);
}

TEST_F(MigrationsTest, AnAdoptedTableIsNotMade) {
  execute("CREATE TABLE post_ratings (id integer)");
  ASSERT_FALSE(migrate(*database_, kMigrations));
  constexpr std::array<std::string_view, 1> kAdopted = {"post_ratings"};
  EXPECT_EQ(migrate(*database_, kMigrations, kAdopted).value(), static_cast<int>(kMigrations.size()));
  EXPECT_EQ(number("SELECT count(id) FROM post_ratings"), 0);
}

}  // namespace
}  // namespace hearth::postgres
