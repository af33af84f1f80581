#include "hearth/drivers/sqlite/connection.h"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::sqlite {
namespace {

class ConnectionTest : public testing::Test {
 protected:
  void SetUp() override { connection_.execute("CREATE TABLE things (name TEXT PRIMARY KEY, content)"); }

  OpenOptions options() const { return {.path = folder_.path() / "a.db", .busy_timeout_ms = 0}; }
  Connection another() const { return Connection::open(options()).value(); }
  void add(std::string_view name) { connection_.statement("INSERT INTO things(name) VALUES (?1)").run(name); }
  static std::int64_t count(Connection& connection) {
    Statement& statement = connection.statement("SELECT count(*) FROM things");
    statement.query().next();
    std::int64_t found = statement.integer(0);
    statement.reset();
    return found;
  }
  static std::string setting(Connection& connection, const char* pragma) {
    Statement& statement = connection.statement(pragma);
    statement.query().next();
    std::string value = statement.string(0);
    statement.reset();
    return value;
  }

  TemporaryFolder folder_;
  Connection connection_ = another();
};

TEST_F(ConnectionTest, OpeningSetsWhatWasAskedFor) {
  Connection connection =
      Connection::open({.path = folder_.path() / "b.db", .synchronous = Synchronous::kNormal, .cache_kib = 64, .checkpoint_pages = 7})
          .value();
  EXPECT_EQ(setting(connection, "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(setting(connection, "PRAGMA synchronous"), "1");
  EXPECT_EQ(setting(connection, "PRAGMA foreign_keys"), "1");
  EXPECT_EQ(setting(connection, "PRAGMA temp_store"), "2");
  EXPECT_EQ(setting(connection, "PRAGMA cache_size"), "-64");
  EXPECT_EQ(setting(connection, "PRAGMA wal_autocheckpoint"), "7");
  EXPECT_EQ(setting(connection, "PRAGMA busy_timeout"), "10000");
  EXPECT_EQ(setting(connection_, "PRAGMA synchronous"), "2");
}

TEST_F(ConnectionTest, AFileThatCannotBeOpenedIsUnavailableAndNamed) {
  auto missing = Connection::open({.path = folder_.path() / "no-such-folder" / "a.db"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(missing.error().message.find("no-such-folder"), std::string::npos) << missing.error().message;
}

TEST_F(ConnectionTest, AReadOnlyConnectionReadsAndRefusesWrites) {
  add("a");
  Connection reader = Connection::open({.path = options().path, .read_only = true}).value();
  EXPECT_EQ(count(reader), 1);
  EXPECT_FALSE(reader.transaction([&] { reader.execute("DELETE FROM things"); }));
  EXPECT_EQ(count(reader), 1);
}

TEST_F(ConnectionTest, ATransactionThatReturnsAValueIsKept) {
  auto made = connection_.transaction([&] {
    add("a");
    return 7;
  });
  EXPECT_EQ(made.value(), 7);
  Connection other = another();
  EXPECT_EQ(count(other), 1);
}

TEST_F(ConnectionTest, AFailingStatementRollsTheTransactionBack) {
  auto failed = connection_.transaction([&] {
    add("a");
    connection_.execute("INSERT INTO nowhere VALUES (1)");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kInternal);
  EXPECT_NE(failed.error().message.find("INSERT INTO nowhere"), std::string::npos) << failed.error().message;
  EXPECT_NE(failed.error().message.find("no such table"), std::string::npos) << failed.error().message;
  EXPECT_EQ(count(connection_), 0);
}

TEST_F(ConnectionTest, AFailedResultRollsTheTransactionBackAndIsReturned) {
  auto failed = connection_.transaction([&]() -> Result<int> {
    add("a");
    return fail(ErrorCode::kNotFound, "not today");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(count(connection_), 0);
  EXPECT_TRUE(connection_.transaction([&] { add("b"); }));
}

TEST_F(ConnectionTest, AForeignExceptionRollsTheTransactionBackAndGoesOn) {
  auto throwing = [&] {
    add("a");
    throw std::runtime_error("elsewhere");
  };
  EXPECT_THROW(EXPECT_FALSE(connection_.transaction(throwing)), std::runtime_error);
  EXPECT_EQ(count(connection_), 0);
  EXPECT_TRUE(connection_.transaction([&] { add("b"); }));
}

TEST_F(ConnectionTest, AWriterThatFindsTheFileLockedIsUnavailable) {
  Connection other = another();
  ASSERT_TRUE(connection_.transaction([&] {
    add("a");
    auto busy = other.transaction([&] { other.execute("DELETE FROM things"); });
    EXPECT_FALSE(busy);
    if (!busy) EXPECT_EQ(busy.error().code, ErrorCode::kUnavailable);
  }));
  EXPECT_TRUE(other.transaction([&] { other.execute("DELETE FROM things"); }));
}

TEST_F(ConnectionTest, ASnapshotDoesNotSeeWhatIsCommittedWhileItLasts) {
  Connection reader = another();
  auto seen = reader.snapshot([&] {
    EXPECT_EQ(count(reader), 0);
    add("a");
    return count(reader);
  });
  EXPECT_EQ(seen.value(), 0);
  EXPECT_EQ(count(reader), 1);
}

TEST_F(ConnectionTest, AQueryLeftHalfwayDoesNotKeepItsSnapshot) {
  add("a");
  add("b");
  Connection reader = another();
  auto first = reader.snapshot([&] {
    Statement& names = reader.statement("SELECT name FROM things");
    names.query().next();
    return names.string(0);
  });
  EXPECT_EQ(first.value(), "a");
  add("c");
  EXPECT_EQ(count(reader), 3);
}

TEST_F(ConnectionTest, TextAndBlobsAndNullKeepTheirKind) {
  Statement& insert = connection_.statement("INSERT INTO things VALUES (?1, ?2)");
  const std::string bytes("\0\xff x", 4);
  insert.run("blob", Blob{bytes});
  insert.run("empty blob", Blob{});
  insert.run("text", std::string("plain"));
  insert.run("empty text", std::string_view());
  insert.run("null", std::nullopt);
  insert.run("no text", std::optional<std::string>());
  insert.run("some text", std::optional<std::string>("some"));
  insert.run("number", std::int64_t{1} << 62);
  insert.run("true", true);

  auto row = [&](std::string_view name) -> Statement& {
    Statement& content = connection_.statement("SELECT content FROM things WHERE name = ?1");
    EXPECT_TRUE(content.query(name).next()) << name;
    return content;
  };
  EXPECT_EQ(row("blob").blob(0), bytes);
  EXPECT_TRUE(row("blob").is_blob(0));
  EXPECT_TRUE(row("empty blob").is_blob(0));
  EXPECT_EQ(row("empty blob").blob(0), "");
  EXPECT_EQ(row("text").text(0), "plain");
  EXPECT_FALSE(row("text").is_blob(0));
  EXPECT_FALSE(row("empty text").is_null(0));
  EXPECT_EQ(row("empty text").optional_string(0), "");
  EXPECT_TRUE(row("null").is_null(0));
  EXPECT_EQ(row("no text").optional_string(0), std::nullopt);
  EXPECT_EQ(row("some text").optional_string(0), "some");
  EXPECT_EQ(row("number").integer(0), std::int64_t{1} << 62);
  EXPECT_TRUE(row("true").boolean(0));
}

TEST_F(ConnectionTest, AQueryCopiesATemporaryStringAndKeepsItWhileStepping) {
  add("a");
  add("b");
  Statement& names = connection_.statement("SELECT name, ?1, ?2 FROM things ORDER BY name");
  names.query(std::string(100, 'x'), std::optional<std::string>(std::string(100, 'y')));
  while (names.next()) {
    EXPECT_EQ(names.text(1), std::string(100, 'x'));
    EXPECT_EQ(names.text(2), std::string(100, 'y'));
  }
}

TEST_F(ConnectionTest, RunningSaysHowManyRowsChanged) {
  add("a");
  add("b");
  EXPECT_EQ(connection_.statement("UPDATE things SET content = ?1").run(1), 2);
  EXPECT_EQ(connection_.statement("DELETE FROM things WHERE name = ?1").run("nobody"), 0);
}

TEST_F(ConnectionTest, AUniqueViolationCanBeToldFromOtherFailures) {
  add("a");
  try {
    add("a");
    FAIL() << "a second row with one key";
  } catch (const Failure& failure) {
    EXPECT_TRUE(failure.is_unique_violation());
  }
  try {
    connection_.execute("INSERT INTO nowhere VALUES (1)");
    FAIL() << "a row in no table";
  } catch (const Failure& failure) {
    EXPECT_FALSE(failure.is_unique_violation());
  }
  add("b");  // the failed statement can be used again
}

TEST_F(ConnectionTest, AForeignKeyIsEnforced) {
  connection_.execute("CREATE TABLE parts (thing TEXT REFERENCES things(name))");
  EXPECT_FALSE(connection_.transaction([&] { connection_.statement("INSERT INTO parts VALUES (?1)").run("nobody"); }));
}

TEST_F(ConnectionTest, AConnectionCanBeReplacedByAnother) {
  add("a");
  connection_ = another();
  EXPECT_EQ(count(connection_), 1);
}

struct ErrorCase {
  int code;
  ErrorCode expected;
};

class ErrorOfFailureTest : public testing::TestWithParam<ErrorCase> {};

TEST_P(ErrorOfFailureTest, SaysWhetherTryingAgainMayHelp) {
  Error error = to_error(Failure(GetParam().code, "writing: it went wrong"));
  EXPECT_EQ(error.code, GetParam().expected);
  EXPECT_EQ(error.message, "writing: it went wrong");
}

INSTANTIATE_TEST_SUITE_P(Codes, ErrorOfFailureTest,
                         testing::Values(ErrorCase{SQLITE_FULL, ErrorCode::kUnavailable}, ErrorCase{SQLITE_BUSY, ErrorCode::kUnavailable},
                                         ErrorCase{SQLITE_BUSY_SNAPSHOT, ErrorCode::kUnavailable},
                                         ErrorCase{SQLITE_LOCKED, ErrorCode::kUnavailable},
                                         ErrorCase{SQLITE_IOERR_FSYNC, ErrorCode::kUnavailable},
                                         ErrorCase{SQLITE_CANTOPEN, ErrorCode::kUnavailable},
                                         ErrorCase{SQLITE_CORRUPT, ErrorCode::kInternal}, ErrorCase{SQLITE_NOTADB, ErrorCode::kInternal},
                                         ErrorCase{SQLITE_CONSTRAINT, ErrorCode::kInternal}),
                         [](const auto& instance) { return "Code" + std::to_string(instance.param.code); });

}  // namespace
}  // namespace hearth::sqlite
