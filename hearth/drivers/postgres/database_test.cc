#include "hearth/drivers/postgres/database.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hearth/base/run_to_end.h"
#include "hearth/drivers/postgres/test_server.h"

namespace hearth::postgres {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

PostgresServer& server() {
  static PostgresServer made;
  return made;
}

Result<std::int64_t> count_of_things(Connection& connection) {
  return connection.query("SELECT count(*) FROM things").first().integer(0);
}

auto adding(std::string name) {
  return [name](Connection& connection) -> Result<std::string> {
    connection.run("INSERT INTO things VALUES ($1)", name);
    return name;
  };
}

// A server process of this database's sessions, by the eyes of another one.
void run_elsewhere(const std::string& url, const std::string& sql) {
  Connection::connect({.url = url}).execute(sql);
}
void end_all_other_sessions(const std::string& url) {
  run_elsewhere(url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() { run_elsewhere(url_, "CREATE TABLE things (name text PRIMARY KEY)"); }

  std::unique_ptr<Database> open(DatabaseOptions options = {}) {
    options.url = url_;
    return Database::open(options).value();
  }

  std::vector<asio::io_context> loops_{4};  // outlive the database, which may still be waking their coroutines
  std::string url_ = server().create_database("database");
  std::unique_ptr<Database> database_ = open();
};

TEST_F(DatabaseTest, WhatIsWrittenIsReadAfterwards) {
  EXPECT_EQ(run_to_end(database_->write(adding("a"))).value(), "a");
  EXPECT_EQ(run_to_end(database_->read(count_of_things)).value(), 1);
}

TEST_F(DatabaseTest, ThreadsThatMayBlockGetTheSame) {
  EXPECT_EQ(database_->write_blocking(adding("a")).value(), "a");
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 1);
}

Task<Result<void>> add_many(Database& database, std::string prefix, int count, std::thread::id& resumed_on) {
  for (int i = 0; i < count; ++i) {
    auto added = co_await database.write(adding(prefix + std::to_string(i)));
    if (!added) co_return std::unexpected(added.error());
  }
  resumed_on = std::this_thread::get_id();
  co_return Result<void>{};
}

TEST_F(DatabaseTest, CoroutinesOfManyThreadsGoOnOnTheirOwn) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      std::vector<std::thread::id> resumed_on(8);
      auto& io = loops_[static_cast<std::size_t>(i)];
      for (std::size_t k = 0; k < resumed_on.size(); ++k) {
        asio::co_spawn(io, add_many(*database_, std::to_string(i) + "-" + std::to_string(k) + "-", 10, resumed_on[k]),
                       [](std::exception_ptr thrown, const Result<void>& added) {
                         EXPECT_EQ(thrown, nullptr);
                         EXPECT_TRUE(added);
                       });
      }
      io.run();
      for (auto id : resumed_on) EXPECT_EQ(id, std::this_thread::get_id());
    });
  }
  threads.clear();
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 4 * 8 * 10);
}

TEST_F(DatabaseTest, MoveOnlyWorkAndAnswersAreFine) {
  auto number = std::make_unique<int>(7);
  auto work = [number = std::move(number)](Connection&) mutable -> Result<std::unique_ptr<int>> { return std::move(number); };
  EXPECT_EQ(*run_to_end(database_->write(std::move(work))).value(), 7);
}

TEST_F(DatabaseTest, AFailedWriteChangesNothing) {
  auto failed = database_->write_blocking([](Connection& connection) -> Result<void> {
    connection.run("INSERT INTO things VALUES ('a')");
    return fail(ErrorCode::kConflict, "on second thought", "name");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kConflict);
  EXPECT_EQ(failed.error().field, "name");
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
}

TEST_F(DatabaseTest, AnExceptionIsTheErrorOfItsWorkAndChangesNothing) {
  auto failed = database_->write_blocking([](Connection& connection) -> Result<void> {
    connection.run("INSERT INTO things VALUES ('a')");
    throw std::runtime_error("elsewhere");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kInternal);
  EXPECT_EQ(failed.error().message, "elsewhere");

  failed = database_->write_blocking([](Connection& connection) -> Result<void> {
    connection.run("INSERT INTO nowhere VALUES ('a')");
    return {};
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kInternal);
  EXPECT_NE(failed.error().message.find("42P01"), std::string::npos) << failed.error().message;
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
  EXPECT_TRUE(database_->write_blocking(adding("a")));
}

TEST_F(DatabaseTest, AReadCannotWriteAndSeesOneSnapshot) {
  EXPECT_FALSE(database_->read_blocking(adding("a")));
  auto counts = database_->read_blocking([this](Connection& connection) -> Result<std::pair<std::int64_t, std::int64_t>> {
    auto before = count_of_things(connection).value();
    run_elsewhere(url_, "INSERT INTO things VALUES ('meanwhile')");
    return std::pair(before, count_of_things(connection).value());
  });
  EXPECT_EQ(counts.value(), (std::pair<std::int64_t, std::int64_t>(0, 0)));
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 1);
}

TEST_F(DatabaseTest, AWriteThatSwallowsAFailureIsNotCommitted) {
  auto written = database_->write_blocking([](Connection& connection) -> Result<void> {
    connection.run("INSERT INTO things VALUES ('a')");
    EXPECT_THROW(connection.run("INSERT INTO things VALUES ('a')"), Failure);
    return {};
  });
  EXPECT_FALSE(written);
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
}

TEST_F(DatabaseTest, ADeadlockIsResolvedByRunningOneOfTheTwoAgain) {
  ASSERT_TRUE(database_->write_blocking(adding("a")));
  ASSERT_TRUE(database_->write_blocking(adding("b")));
  std::latch both_hold_one(2);
  std::atomic<int> runs = 0;
  auto locking = [&](std::string first, std::string second) {
    return [&, first, second, is_first_run = true](Connection& connection) mutable -> Result<void> {
      ++runs;
      connection.query("SELECT FROM things WHERE name = $1 FOR UPDATE", first);
      if (std::exchange(is_first_run, false)) both_hold_one.arrive_and_wait();
      connection.query("SELECT FROM things WHERE name = $1 FOR UPDATE", second);
      return {};
    };
  };
  std::jthread other([&] { EXPECT_TRUE(database_->write_blocking(locking("a", "b"))); });
  EXPECT_TRUE(database_->write_blocking(locking("b", "a")));
  other.join();
  EXPECT_GE(runs, 3) << "both may be chosen";
}

TEST_F(DatabaseTest, WorkWhoseConnectionIsLostRunsAgainOnANewOne) {
  int runs = 0;
  auto added = database_->write_blocking([&](Connection& connection) -> Result<void> {
    connection.run("INSERT INTO things VALUES ('a')");
    if (++runs == 1) end_all_other_sessions(url_);
    connection.run("INSERT INTO things VALUES ('b')");
    return {};
  });
  EXPECT_TRUE(added);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 2);
}

TEST_F(DatabaseTest, IdleConnectionsThatWereLostAreMadeAgain) {
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(database_->ping_blocking());
  end_all_other_sessions(url_);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(database_->ping_blocking());
  server().restart();
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(database_->write_blocking(adding(std::to_string(i))));
}

TEST_F(DatabaseTest, ACommitWithoutAnswerIsUnavailableAndNotRunAgain) {
  int runs = 0;
  auto added = database_->write_blocking([&](Connection& connection) -> Result<void> {
    ++runs;
    connection.run("INSERT INTO things VALUES ('a')");
    // The session ends at the commit: a deferred trigger kills it.
    connection.execute(
        "CREATE FUNCTION pg_temp.end_me() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER last AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "
        "pg_temp.end_me();"
        "INSERT INTO things VALUES ('b')");
    return {};
  });
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(added.error().message.find("not known"), std::string::npos) << added.error().message;
  EXPECT_EQ(runs, 1);
}

TEST_F(DatabaseTest, WhatWasCommittedSurvivesAKillOfTheServer) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(database_->write_blocking(adding("thing " + std::to_string(i))));
    server().restart();
    EXPECT_EQ(database_->read_blocking(count_of_things).value(), i + 1);
  }
}

TEST_F(DatabaseTest, AServerThatIsAwayIsUnavailableAtOnceAfterAWhileAndFoundAgain) {
  database_ = open({.connections = 2, .connect_wait = std::chrono::milliseconds(200)});
  EXPECT_FALSE(database_->is_connected());
  ASSERT_TRUE(database_->ping_blocking());
  EXPECT_TRUE(database_->is_connected());
  EXPECT_EQ(database_->stats().connects, 1u);
  EXPECT_EQ(database_->stats().transactions, 1u);
  EXPECT_EQ(database_->stats().failures, 0u);
  server().kill();
  auto lost = database_->ping_blocking();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(database_->is_connected());

  auto began = steady_clock::now();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(database_->ping_blocking());
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(10)) << "each of them waited";

  server().start();
  while (!database_->ping_blocking()) std::this_thread::yield();
  EXPECT_TRUE(database_->is_connected());
  EXPECT_TRUE(database_->write_blocking(adding("a")));
  EXPECT_GE(database_->stats().failures, 101u);
  EXPECT_GE(database_->stats().connects, 2u);
  EXPECT_GE(database_->stats().connections, 1u);
  EXPECT_LE(database_->stats().connections, 2u);
}

TEST_F(DatabaseTest, AServerThatStopsInTheMiddleDoesNotHoldItsCallersForEver) {
  database_ =
      open({.connections = 1, .statement_timeout = std::chrono::milliseconds(100), .connect_timeout = std::chrono::milliseconds(1000)});
  ASSERT_TRUE(database_->ping_blocking());
  server().pause();
  auto lost = database_->ping_blocking();
  server().resume();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kUnavailable);
  while (!database_->ping_blocking()) std::this_thread::yield();
}

TEST_F(DatabaseTest, AStatementThatTakesTooLongIsStopped) {
  database_ = open({.statement_timeout = std::chrono::milliseconds(50)});
  auto slow = database_->read_blocking([](Connection& connection) -> Result<void> {
    connection.query("SELECT pg_sleep(3600)");
    return {};
  });
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(database_->is_connected()) << slow.error().message;
}

TEST_F(DatabaseTest, StatementsAreSentWholeWhereAPoolerChangesTheSessions) {
  database_ = open({.connections = 1});
  ASSERT_TRUE(database_->read_blocking(count_of_things));
  auto forget = [this](const char* sql) {
    return database_->write_blocking([sql](Connection& connection) -> Result<void> {
      connection.execute(sql);
      return {};
    });
  };
  ASSERT_TRUE(forget("DEALLOCATE ALL"));  // as another session, which knows nothing of it
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
  auto prepared = database_->read_blocking([](Connection& connection) -> Result<std::int64_t> {
    return connection.query("SELECT count(*) FROM pg_prepared_statements").first().integer(0);
  });
  EXPECT_EQ(prepared.value(), 0);
}

TEST_F(DatabaseTest, AStatementThatAnotherClientOfThePoolerHasPreparedIsSentWhole) {
  database_ = open({.connections = 1});
  ASSERT_TRUE(database_->read_blocking(count_of_things));
  auto prepared_name = database_->read_blocking([](Connection& connection) -> Result<std::string> {
    return connection.query("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%count(*) FROM things'").first().string(0);
  });
  database_ = open({.connections = 1});
  ASSERT_TRUE(database_->write_blocking([&](Connection& connection) -> Result<void> {
    connection.execute("PREPARE \"" + prepared_name.value() + "\" AS SELECT count(*) FROM things");
    return {};
  }));
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
}

TEST_F(DatabaseTest, AMigrationThatChangesTheTypeOfAColumnDoesNotStopStatementsThatArePrepared) {
  database_ = open({.connections = 1});
  auto names = [](Connection& connection) -> Result<int> { return connection.query("SELECT name FROM things").size(); };
  ASSERT_TRUE(database_->read_blocking(names));
  run_elsewhere(url_, "ALTER TABLE things ALTER COLUMN name TYPE varchar(50)");
  EXPECT_TRUE(database_->read_blocking(names));
}

// A database with one connection that is busy until let_go().
class Occupied {
 public:
  explicit Occupied(Database& database) {
    thread_ = std::jthread([this, &database] {
      EXPECT_TRUE(database.write_blocking([this](Connection&) -> Result<void> {
        began_.count_down();
        let_go_.wait();
        return {};
      }));
    });
    began_.wait();
  }
  void let_go() { let_go_.count_down(); }

 private:
  std::latch began_{1};
  std::latch let_go_{1};
  std::jthread thread_;
};

TEST_F(DatabaseTest, StoppingFinishesWhatIsQueuedAndRefusesMore) {
  auto& io = loops_[0];
  database_ = open({.connections = 1});
  Occupied occupied(*database_);
  int added = 0;
  for (int i = 0; i < 10; ++i) {
    asio::co_spawn(io, database_->write(adding(std::to_string(i))),
                   [&](std::exception_ptr, Result<std::string> made) { added += made ? 1 : 0; });
  }
  io.poll();
  std::jthread stopping([&] { database_->stop(); });
  std::optional<Result<std::int64_t>> refused;
  while (!refused) {  // until the door is closed: what is asked before that waits in the queue
    asio::co_spawn(io, database_->read(count_of_things), [&](std::exception_ptr, Result<std::int64_t> counted) {
      if (!counted) refused = counted;
    });
    io.poll();
  }
  EXPECT_EQ(refused->error().code, ErrorCode::kUnavailable);
  occupied.let_go();
  io.run();
  EXPECT_EQ(added, 10);
  stopping.join();
  database_->stop();
  EXPECT_FALSE(database_->ping_blocking());
}

TEST_F(DatabaseTest, MoreThanTheQueueHoldsIsRefused) {
  auto& io = loops_[0];
  database_ = open({.connections = 1, .queued_max = 2});
  Occupied occupied(*database_);
  int refused = 0;
  for (int i = 0; i < 5; ++i) {
    asio::co_spawn(io, database_->read(count_of_things), [&](std::exception_ptr, Result<std::int64_t> counted) {
      if (counted) return;
      EXPECT_EQ(counted.error().code, ErrorCode::kUnavailable);
      if (++refused == 3) occupied.let_go();
    });
  }
  io.run();
  EXPECT_EQ(refused, 3);
}

TEST(DatabaseUrlTest, AUrlThatCannotBeReadIsRefusedWithoutRepeatingIt) {
  for (const char* url : {"", "localhost", "mysql://a:secret@b/c", "postgres://a:secret@[b/c", "postgres://a:secret@b/c?nonsense=1"}) {
    auto refused = Database::open({.url = url});
    ASSERT_FALSE(refused) << url;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message.find("secret"), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace hearth::postgres
