#include "hearth/drivers/sqlite/database.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::sqlite {
namespace {

namespace asio = boost::asio;

constexpr std::array<std::string_view, 1> kMigrations = {"CREATE TABLE things (name TEXT PRIMARY KEY)"};

Result<int> count_of_things(Connection& connection) {
  Statement& statement = connection.statement("SELECT count(*) FROM things");
  statement.query().next();
  return static_cast<int>(statement.integer(0));
}

Result<std::string> add_thing(Connection& connection, std::string name) {
  connection.statement("INSERT INTO things VALUES (?1)").run(name);
  return name;
}

// Runs coroutines to their end on the calling thread, all at once.
class Coroutines {
 public:
  template <typename T>
  void start(Task<T> task, std::function<void(T)> use) {
    asio::co_spawn(io_, std::move(task), [use = std::move(use)](std::exception_ptr thrown, T value) {
      ASSERT_EQ(thrown, nullptr);
      use(std::move(value));
    });
  }
  void run() {
    io_.restart();
    io_.run();
  }
  template <typename T>
  T result_of(Task<T> task) {
    std::optional<T> result;
    start<T>(std::move(task), [&](T value) { result = std::move(value); });
    run();
    return *std::move(result);
  }

 private:
  asio::io_context io_;
};

// Work that occupies its thread of the database until let_go().
class Occupied {
 public:
  template <typename Start>
  explicit Occupied(Start start) {
    thread_ = std::jthread([this, start] {
      start([this](Connection&) -> Result<void> {
        began_.count_down();
        let_go_.wait();
        return {};
      });
    });
    began_.wait();
  }
  ~Occupied() {
    if (!let_go_.try_wait()) let_go();
  }
  void let_go() { let_go_.count_down(); }

 private:
  std::latch began_{1};
  std::latch let_go_{1};
  std::jthread thread_;
};

class DatabaseTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open(std::size_t queued_max = 10'000) {
    return Database::open({.path = folder_.path() / "a.db",
                           .vfs = disk_.name(),
                           .migrations = kMigrations,
                           .reader_threads = 1,
                           .queued_max = queued_max})
        .value();
  }
  auto adding(std::string name) {
    return [name](Connection& connection) { return add_thing(connection, name); };
  }
  // The writing thread is busy until the answer is let go.
  std::unique_ptr<Occupied> occupy_writer() {
    return std::make_unique<Occupied>([this](auto work) { EXPECT_TRUE(database_->write_blocking(work)); });
  }
  std::unique_ptr<Occupied> occupy_reader() {
    return std::make_unique<Occupied>([this](auto work) { EXPECT_TRUE(database_->read_blocking(work)); });
  }

  // Once everything that was started so far is in the queues.
  void when_all_is_queued(std::function<void()> use) {
    coroutines_.start<Result<void>>(database_->read([](Connection&) -> Result<void> { return {}; }),
                                    [use = std::move(use)](const Result<void>&) { use(); });
  }

  TemporaryFolder folder_;
  FaultVfs disk_;
  Coroutines coroutines_;  // outlives the database, which may still be waking it
  std::unique_ptr<Database> database_ = open();
};

TEST_F(DatabaseTest, WhatIsWrittenIsReadAfterwards) {
  EXPECT_EQ(coroutines_.result_of(database_->write(adding("a"))).value(), "a");
  EXPECT_EQ(coroutines_.result_of(database_->read(count_of_things)).value(), 1);
}

TEST_F(DatabaseTest, ThreadsThatMayBlockGetTheSame) {
  EXPECT_EQ(database_->write_blocking(adding("a")).value(), "a");
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 1);
}

Task<std::thread::id> thread_after_write(Database& database) {
  auto written = co_await database.write([](Connection&) -> Result<void> { return {}; });
  EXPECT_TRUE(written);
  co_return std::this_thread::get_id();
}

TEST_F(DatabaseTest, ACoroutineGoesOnOnItsOwnThread) {
  EXPECT_EQ(coroutines_.result_of(thread_after_write(*database_)), std::this_thread::get_id());
}

TEST_F(DatabaseTest, MoveOnlyWorkAndAnswersAreFine) {
  auto number = std::make_unique<int>(7);
  auto work = [number = std::move(number)](Connection&) mutable -> Result<std::unique_ptr<int>> { return std::move(number); };
  EXPECT_EQ(*coroutines_.result_of(database_->write(std::move(work))).value(), 7);
}

TEST_F(DatabaseTest, AFailedWriteChangesNothing) {
  auto failed = coroutines_.result_of(database_->write([](Connection& connection) -> Result<void> {
    auto added = add_thing(connection, "a");
    EXPECT_TRUE(added);
    return fail(ErrorCode::kConflict, "on second thought", "name");
  }));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kConflict);
  EXPECT_EQ(failed.error().field, "name");
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
}

TEST_F(DatabaseTest, AnExceptionInAWriteIsItsErrorAndChangesNothing) {
  auto failed = database_->write_blocking([](Connection& connection) -> Result<void> {
    auto added = add_thing(connection, "a");
    EXPECT_TRUE(added);
    throw std::runtime_error("elsewhere");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kInternal);
  EXPECT_EQ(failed.error().message, "elsewhere");
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
  EXPECT_TRUE(database_->write_blocking(adding("a")));
}

TEST_F(DatabaseTest, AnExceptionInAReadIsItsError) {
  EXPECT_FALSE(database_->read_blocking([](Connection&) -> Result<void> { throw std::runtime_error("elsewhere"); }));
  EXPECT_FALSE(database_->read_blocking([](Connection& connection) -> Result<void> {
    connection.execute("SELECT * FROM nowhere");
    return {};
  }));
  EXPECT_TRUE(database_->read_blocking(count_of_things));
}

TEST_F(DatabaseTest, AReadCannotWrite) {
  EXPECT_FALSE(database_->read_blocking(adding("a")));
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 0);
}

TEST_F(DatabaseTest, AFailingWriteAmongManyTakesBackOnlyItself) {
  auto writer = occupy_writer();
  int succeeded = 0;
  int failed = 0;
  for (int i = 0; i < 64; ++i) {
    // Every eighth wants the name of its neighbour.
    std::string name = "thing " + std::to_string(i % 8 == 7 ? i - 1 : i);
    coroutines_.start<Result<std::string>>(database_->write(adding(name)),
                                           [&](Result<std::string> added) { ++(added ? succeeded : failed); });
  }
  when_all_is_queued([&] { writer->let_go(); });
  coroutines_.run();
  EXPECT_EQ(succeeded, 56);
  EXPECT_EQ(failed, 8);
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 56);
}

TEST_F(DatabaseTest, AWriteThatEndsTheTransactionFailsThoseBeforeItAndNotThoseAfterIt) {
  auto writer = occupy_writer();
  std::vector<std::string> outcomes(3);
  auto note = [&](std::size_t i) { return [&outcomes, i](Result<std::string> added) { outcomes[i] = added ? *added : "failed"; }; };
  coroutines_.start<Result<std::string>>(database_->write(adding("before")), note(0));
  coroutines_.start<Result<std::string>>(database_->write([](Connection& connection) -> Result<std::string> {
    connection.execute("INSERT OR ROLLBACK INTO things VALUES ('before')");  // as a full disk does
    return "not reached";
  }),
                                         note(1));
  coroutines_.start<Result<std::string>>(database_->write(adding("after")), note(2));
  when_all_is_queued([&] { writer->let_go(); });
  coroutines_.run();
  EXPECT_EQ(outcomes, (std::vector<std::string>{"failed", "failed", "after"}));
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 1);
}

TEST_F(DatabaseTest, WritesThatWaitTogetherShareACommit) {
  disk_.hold_syncs("a.db-wal");
  std::jthread first([&] { EXPECT_TRUE(database_->write_blocking(adding("first"))); });
  disk_.wait_until_held();
  auto syncs_before = disk_.counts().syncs;
  int added = 0;
  for (int i = 0; i < 64; ++i) {
    coroutines_.start<Result<std::string>>(database_->write(adding(std::to_string(i))),
                                           [&](Result<std::string> made) { added += made ? 1 : 0; });
  }
  when_all_is_queued([&] {
    EXPECT_EQ(added, 0);
    disk_.release_syncs();
  });
  coroutines_.run();
  EXPECT_EQ(added, 64);
  EXPECT_EQ(disk_.counts().syncs, syncs_before + 1);
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 65);
}

TEST_F(DatabaseTest, ACommitThatFailsFailsAllItsWritesAndTheNextSucceeds) {
  disk_.hold_syncs("a.db-wal");
  std::jthread first([&] { EXPECT_TRUE(database_->write_blocking(adding("first"))); });
  disk_.wait_until_held();
  int unavailable = 0;
  for (std::string name : {"a", "b", "a"}) {  // the last would fail by itself, because of one that is lost
    coroutines_.start<Result<std::string>>(database_->write(adding(name)), [&](Result<std::string> added) {
      ASSERT_FALSE(added);
      unavailable += added.error().code == ErrorCode::kUnavailable ? 1 : 0;
    });
  }
  when_all_is_queued([&] {
    disk_.inject({.kind = FaultKind::kSyncError, .nth = 2});
    disk_.release_syncs();
  });
  coroutines_.run();
  EXPECT_EQ(unavailable, 3);
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 1);
  EXPECT_TRUE(database_->write_blocking(adding("a")));
}

TEST_F(DatabaseTest, AWriteWhoseTransactionCannotEvenBeginFails) {
  {
    Connection other = Connection::open({.path = folder_.path() / "a.db", .vfs = disk_.name()}).value();
    ASSERT_TRUE(add_thing(other, "a"));  // so that the writer has to read before it begins
  }
  disk_.cut();
  auto failed = database_->write_blocking(adding("b"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(failed.error().message.find("BEGIN"), std::string::npos) << failed.error().message;
  disk_.thaw();
  EXPECT_TRUE(database_->write_blocking(adding("b")));
}

TEST_F(DatabaseTest, AFullDiskRefusesWritesAndKeepsReadingUntilThereIsRoom) {
  ASSERT_TRUE(database_->write_blocking(adding("a")));
  disk_.inject({.kind = FaultKind::kDiskFull, .is_lasting = true});
  for (int i = 0; i < 3; ++i) {
    auto refused = database_->write_blocking(adding("b"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  }
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 1);
  disk_.heal();
  EXPECT_TRUE(database_->write_blocking(adding("b")));
}

TEST_F(DatabaseTest, WhatWasAnsweredSurvivesAPowerCutInTheMiddleOfTheNextCommit) {
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    ASSERT_TRUE(database_->write_blocking(adding("answered " + std::to_string(seed))));
    auto answered = database_->read_blocking(count_of_things).value();
    disk_.hold_syncs("a.db-wal");
    std::jthread cut_off([&] { EXPECT_FALSE(database_->write_blocking(adding("cut off " + std::to_string(seed)))); });
    disk_.wait_until_held();
    disk_.cut();
    cut_off.join();
    database_.reset();
    disk_.release_syncs();
    disk_.revert(seed);
    disk_.thaw();
    database_ = open();
    auto found = database_->read_blocking(count_of_things).value();
    EXPECT_TRUE(found == answered || found == answered + 1) << found << " of " << answered << " with seed " << seed;
  }
}

TEST_F(DatabaseTest, MoreThanTheQueueHoldsIsRefused) {
  database_.reset();
  database_ = open(/*queued_max=*/2);
  auto writer = occupy_writer();
  auto reader = occupy_reader();
  int refused_writes = 0;
  int refused_reads = 0;
  for (int i = 0; i < 5; ++i) {
    coroutines_.start<Result<std::string>>(database_->write(adding(std::to_string(i))), [&](Result<std::string> added) {
      if (added) return;
      EXPECT_EQ(added.error().code, ErrorCode::kUnavailable);
      if (++refused_writes == 3) writer->let_go();
    });
    coroutines_.start<Result<int>>(database_->read(count_of_things), [&](Result<int> counted) {
      if (counted) return;
      EXPECT_EQ(counted.error().code, ErrorCode::kUnavailable);
      if (++refused_reads == 3) reader->let_go();
    });
  }
  coroutines_.run();
  EXPECT_EQ(refused_writes, 3);
  EXPECT_EQ(refused_reads, 3);
  EXPECT_EQ(database_->read_blocking(count_of_things).value(), 2);
}

TEST_F(DatabaseTest, StoppingFinishesWhatIsQueuedAndRefusesMore) {
  auto writer = occupy_writer();
  int added = 0;
  for (int i = 0; i < 10; ++i) {
    coroutines_.start<Result<std::string>>(database_->write(adding(std::to_string(i))),
                                           [&](Result<std::string> made) { added += made ? 1 : 0; });
  }
  std::jthread stopping;
  when_all_is_queued([&] {
    stopping = std::jthread([&] { database_->stop(); });
    while (database_->read_blocking(count_of_things)) std::this_thread::yield();  // until the door is closed
    writer->let_go();
  });
  coroutines_.run();
  EXPECT_EQ(added, 10);

  auto late = coroutines_.result_of(database_->write(adding("late")));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
  stopping.join();
  database_->stop();
  EXPECT_EQ(open()->read_blocking(count_of_things).value(), 10);
}

TEST_F(DatabaseTest, AFileOfANewerHearthIsNotOpened) {
  ASSERT_TRUE(database_->write_blocking([](Connection& connection) -> Result<void> {
    connection.execute("PRAGMA user_version=2");
    return {};
  }));
  auto refused = Database::open({.path = folder_.path() / "a.db", .vfs = disk_.name(), .migrations = kMigrations});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("a.db"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace hearth::sqlite
