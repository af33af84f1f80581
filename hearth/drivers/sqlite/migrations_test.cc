#include "hearth/drivers/sqlite/migrations.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string_view>

#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::sqlite {
namespace {

constexpr std::array<std::string_view, 3> kSteps = {
    "CREATE TABLE letters (letter TEXT);",
    "INSERT INTO letters VALUES ('a'); INSERT INTO letters VALUES ('b');",
    "ALTER TABLE letters ADD COLUMN position INTEGER; UPDATE letters SET position = rowid;",
};

class MigrationsTest : public testing::Test {
 protected:
  std::int64_t number(const char* sql) {
    Statement& statement = connection_.statement(sql);
    statement.query().next();
    std::int64_t value = statement.integer(0);
    statement.reset();
    return value;
  }

  TemporaryFolder folder_;
  Connection connection_ = Connection::open({.path = folder_.path() / "a.db"}).value();
};

TEST_F(MigrationsTest, StepsAreAppliedOnceAndInOrder) {
  EXPECT_EQ(migrate(connection_, kSteps).value(), 3);
  EXPECT_EQ(number("SELECT sum(position) FROM letters"), 3);
  EXPECT_EQ(number("PRAGMA user_version"), 3);

  EXPECT_EQ(migrate(connection_, kSteps).value(), 0);
  EXPECT_EQ(number("SELECT count(*) FROM letters"), 2);
}

TEST_F(MigrationsTest, AnOlderFileGetsOnlyTheStepsItLacks) {
  EXPECT_EQ(migrate(connection_, std::span(kSteps).first(2)).value(), 2);
  EXPECT_EQ(migrate(connection_, kSteps).value(), 1);
  EXPECT_EQ(number("SELECT count(*) FROM letters WHERE position IS NOT NULL"), 2);
}

TEST_F(MigrationsTest, AFileOfANewerHearthIsRefusedAndLeftAsItIs) {
  ASSERT_TRUE(migrate(connection_, kSteps));
  auto refused = migrate(connection_, std::span(kSteps).first(2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_EQ(number("PRAGMA user_version"), 3);
}

TEST_F(MigrationsTest, AStepThatFailsHalfwayLeavesNothingOfItselfAndTheEarlierOnesStay) {
  constexpr std::array<std::string_view, 2> kBroken = {kSteps[0], "INSERT INTO letters VALUES ('a'); INSERT INTO nowhere VALUES (1);"};
  auto failed = migrate(connection_, kBroken);
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message.starts_with("migration 2: ")) << failed.error().message;
  EXPECT_EQ(number("PRAGMA user_version"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM letters"), 0);

  EXPECT_EQ(migrate(connection_, kSteps).value(), 2);
  EXPECT_EQ(number("SELECT count(*) FROM letters"), 2);
}

}  // namespace
}  // namespace hearth::sqlite
