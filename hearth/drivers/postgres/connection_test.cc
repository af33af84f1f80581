#include "hearth/drivers/postgres/connection.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "hearth/drivers/postgres/test_server.h"

namespace hearth::postgres {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::string fresh_database() {
  static PostgresServer server;
  return server.create_database("connection");
}

class ConnectionTest : public testing::Test {
 protected:
  Failure failure_of(const std::string& sql) {
    try {
      connection_.query(sql);
    } catch (const Failure& failure) {
      return failure;
    }
    throw std::logic_error("it does not fail: " + sql);
  }

  Connection connection_ = Connection::connect({.url = fresh_database()});
};

UtcMicros at(std::int64_t micros) {
  return UtcMicros(std::chrono::microseconds(micros));
}

TEST_F(ConnectionTest, ValuesOfEveryTypeComeBackAsTheyWere) {
  constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
  Rows rows = connection_.query("SELECT $1, $2, $3, $4, $5, $6", "O'Brien \\ \"x\" \n ☃", kLowest, true, 0.1, at(1'700'000'000'123'456),
                                std::optional<std::string>());
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(rows.text(0), "O'Brien \\ \"x\" \n ☃");
  EXPECT_EQ(rows.integer(1), kLowest);
  EXPECT_TRUE(rows.boolean(2));
  EXPECT_EQ(rows.real(3), 0.1);
  EXPECT_EQ(rows.time(4), at(1'700'000'000'123'456));
  EXPECT_TRUE(rows.is_null(5));
  EXPECT_EQ(rows.optional_string(5), std::nullopt);
  EXPECT_FALSE(rows.next());
}

TEST_F(ConnectionTest, NullsOfEveryTypeAreNull) {
  Rows rows = connection_.query("SELECT $1, $2, $3, $4", std::optional<std::int64_t>(), std::optional<bool>(), std::optional<UtcMicros>(),
                                std::optional<std::string_view>());
  rows.first();
  for (int column = 0; column < 4; ++column) EXPECT_TRUE(rows.is_null(column));
  EXPECT_EQ(rows.integer(0), 0);
  EXPECT_FALSE(rows.boolean(1));
  EXPECT_EQ(rows.text(3), "");
}

TEST_F(ConnectionTest, ValuesMeanTheSameToTheServer) {
  Rows rows = connection_.query("SELECT $1::text = '-5', $2 = '2023-11-14T22:13:20.123456Z'::timestamptz, $3 = 1e100, $4 = ''", -5,
                                at(1'700'000'000'123'456), 1e100, "");
  rows.first();
  for (int column = 0; column < 4; ++column) EXPECT_TRUE(rows.boolean(column)) << column;
  EXPECT_EQ(connection_.query("SELECT 1::smallint").first().integer(0), 1);
  EXPECT_EQ(connection_.query("SELECT -1::integer").first().integer(0), -1);
  EXPECT_EQ(connection_.query("SELECT 'infinity'::timestamptz").first().time(0), UtcMicros::max());
}

TEST_F(ConnectionTest, ArraysKeepEveryCharacterAndTheirOrder) {
  std::vector<std::string> texts = {"",   " ",    "NULL", "null",   "{}", "{a,b}",    "a,b", "\"",
                                    "\\", "\\\"", "'",    "\n\t\r", "☃",  "\x01\x7f", "%_$1"};
  std::vector<std::int64_t> numbers;
  std::vector<std::uint8_t> odd;
  std::vector<UtcMicros> times;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    numbers.push_back(static_cast<std::int64_t>(i) - 3);
    odd.push_back(i % 2);
    times.push_back(at(static_cast<std::int64_t>(i) * 1'000'003));
  }
  Rows rows = connection_.query("SELECT * FROM unnest($1, $2, $3, $4) WITH ORDINALITY ORDER BY ordinality", texts, numbers, odd, times);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    ASSERT_TRUE(rows.next());
    EXPECT_EQ(rows.text(0), texts[i]);
    EXPECT_EQ(rows.integer(1), numbers[i]);
    EXPECT_EQ(rows.boolean(2), odd[i] != 0);
    EXPECT_EQ(rows.time(3), times[i]);
  }
  EXPECT_FALSE(rows.next());
}

TEST_F(ConnectionTest, BytesNeedBeNoText) {
  Rows rows = connection_.query("SELECT $1, b FROM unnest($2) AS b", Bytes{"\0\xff"sv}, std::vector<Bytes>{{"\xff\0"sv}, {""sv}});
  EXPECT_EQ(rows.first().text(0), "\0\xff"sv);
  EXPECT_EQ(rows.text(1), "\xff\0"sv);
  EXPECT_EQ(rows.first().text(1), "");
}

TEST_F(ConnectionTest, AnEmptyArrayHasNoRows) {
  EXPECT_EQ(connection_.query("SELECT * FROM unnest($1, $2)", TextArray(), IntegerArray()).size(), 0);
}

TEST_F(ConnectionTest, TextThatIsNoTextForTheServerIsADataError) {
  for (auto text : {"a\0b"sv, "\xff"sv}) {
    try {
      connection_.query("SELECT $1", text);
      ADD_FAILURE();
    } catch (const Failure& failure) {
      EXPECT_TRUE(failure.is_data_error()) << failure.sqlstate();
      EXPECT_FALSE(failure.is_connection_loss());
    }
  }
}

TEST_F(ConnectionTest, FailuresSayWhatKindTheyAre) {
  connection_.execute("CREATE TABLE numbers (n integer PRIMARY KEY CHECK (n > 0)); INSERT INTO numbers VALUES (1)");
  EXPECT_TRUE(failure_of("INSERT INTO numbers VALUES (1)").is_unique_violation());
  EXPECT_TRUE(failure_of("INSERT INTO numbers VALUES (0)").is_data_error());
  EXPECT_TRUE(failure_of("SELECT 1 / 0").is_data_error());
  EXPECT_FALSE(failure_of("SELECT nonsense").is_data_error());
  auto ended = failure_of("SELECT pg_terminate_backend(pg_backend_pid())");
  EXPECT_TRUE(ended.is_connection_loss());
  EXPECT_EQ(to_error(ended).code, ErrorCode::kUnavailable);
  EXPECT_FALSE(connection_.is_usable());
  EXPECT_TRUE(failure_of("SELECT 1").is_connection_loss());
}

TEST_F(ConnectionTest, RunSaysHowManyRowsChanged) {
  connection_.execute("CREATE TABLE numbers (n integer)");
  EXPECT_EQ(connection_.run("INSERT INTO numbers SELECT generate_series(1, 10)"), 10u);
  EXPECT_EQ(connection_.run("UPDATE numbers SET n = 0 WHERE n > $1", 6), 4u);
  EXPECT_EQ(connection_.run("DELETE FROM numbers WHERE n > 100"), 0u);
}

TEST_F(ConnectionTest, AStatementIsPreparedOnceForEachOfItsTypes) {
  for (int i = 0; i < 3; ++i) {
    connection_.query("SELECT $1 IS NULL", i);
    connection_.query("SELECT $1 IS NULL", "text");
  }
  EXPECT_EQ(connection_.query("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%IS NULL'").first().integer(0), 2);
}

TEST_F(ConnectionTest, AColumnOfAnotherTypeIsAFailureThatNamesIt) {
  Rows rows = connection_.query("SELECT 1.5 AS price, gen_random_uuid() AS id");
  rows.first();
  EXPECT_THROW(rows.integer(0), Failure);
  try {
    rows.text(1);
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("id"), std::string::npos) << failure.what();
  }
}

TEST_F(ConnectionTest, ASavepointTakesBackOnlyItsPart) {
  connection_.execute("CREATE TABLE numbers (n integer PRIMARY KEY)");
  connection_.begin(Connection::Access::kWrite);
  auto add = [this](int n) { return [this, n] { connection_.run("INSERT INTO numbers VALUES ($1)", n); }; };
  connection_.savepoint(add(1));
  EXPECT_THROW(connection_.savepoint(add(1)), Failure);
  EXPECT_THROW(connection_.savepoint([&] {
    connection_.savepoint(add(2));
    throw std::runtime_error("outside");
  }),
               std::runtime_error);
  connection_.savepoint(add(3));
  connection_.commit();
  Rows rows = connection_.query("SELECT n FROM numbers ORDER BY n");
  EXPECT_EQ(rows.first().integer(0), 1);
  EXPECT_EQ(rows.first().integer(0), 3);
  EXPECT_FALSE(rows.next());
}

TEST_F(ConnectionTest, AnAnswerLargerThanEveryBufferArrivesWhole) {
  std::string large(20'000'000, 'x');
  EXPECT_EQ(connection_.query("SELECT $1 || $1", large).first().text(0).size(), 2 * large.size());
}

TEST(ConnectTest, NoServerIsAConnectionLoss) {
  try {
    Connection::connect({.url = "postgres://hearth:secret@127.0.0.1:1/none"});
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_TRUE(failure.is_connection_loss());
    EXPECT_EQ(to_error(failure).code, ErrorCode::kUnavailable);
    EXPECT_EQ(std::string(failure.what()).find("secret"), std::string::npos) << failure.what();
  }
}

}  // namespace
}  // namespace hearth::postgres
