#include "hearth/drivers/sqlite/fault_vfs.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::sqlite {
namespace {

class FaultVfsTest : public testing::Test {
 protected:
  void SetUp() override {
    open();
    connection_->execute("CREATE TABLE things (name TEXT)");
  }
  void TearDown() override { connection_.reset(); }

  void open(Synchronous synchronous = Synchronous::kFull) {
    connection_.reset();
    auto opened = Connection::open({.path = path_, .vfs = disk_.name(), .synchronous = synchronous});
    ASSERT_TRUE(opened) << opened.error().message;
    connection_ = *std::move(opened);
  }
  Result<void> add(std::string_view name) {
    return connection_->transaction([&] { connection_->statement("INSERT INTO things VALUES (?1)").run(name); });
  }
  static std::vector<std::string> things_of(Connection& connection) {
    std::vector<std::string> names;
    Statement& statement = connection.statement("SELECT name FROM things ORDER BY rowid");
    statement.query();
    while (statement.next()) names.push_back(statement.string(0));
    return names;
  }
  std::vector<std::string> things() { return things_of(*connection_); }
  std::string integrity() {
    Statement& check = connection_->statement("PRAGMA integrity_check");
    check.query().next();
    std::string said = check.string(0);
    check.reset();
    return said;
  }
  void cut_power_and_restart(std::optional<std::uint64_t> keep_seed = std::nullopt) {
    disk_.cut();
    connection_.reset();
    disk_.revert(keep_seed);
    disk_.thaw();
    open();
  }

  using Names = std::vector<std::string>;

  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "a.db";
  FaultVfs disk_;
  std::optional<Connection> connection_;
};

TEST_F(FaultVfsTest, ASyncedCommitSurvivesAPowerCut) {
  ASSERT_TRUE(add("synced"));
  cut_power_and_restart();
  EXPECT_EQ(things(), Names{"synced"});
}

TEST_F(FaultVfsTest, ACommitThatWasWrittenAndNotSyncedDoesNotSurviveAPowerCut) {
  ASSERT_TRUE(add("synced"));
  open(Synchronous::kNormal);
  ASSERT_TRUE(add("written"));
  EXPECT_EQ(things(), (Names{"synced", "written"}));
  cut_power_and_restart();
  EXPECT_EQ(things(), Names{"synced"});
}

TEST_F(FaultVfsTest, ClosingWithoutAPowerCutLosesNothing) {
  open(Synchronous::kNormal);
  ASSERT_TRUE(add("written"));
  open();
  EXPECT_EQ(things(), Names{"written"});
  EXPECT_EQ(integrity(), "ok");
}

TEST_F(FaultVfsTest, ALargeTransactionWithCheckpointsSurvivesAPowerCutWhole) {
  ASSERT_TRUE(connection_->transaction([&] {
    for (int i = 0; i < 2000; ++i) connection_->statement("INSERT INTO things VALUES (?1)").run(std::string(1000, 'x'));
  }));
  connection_->execute("PRAGMA wal_checkpoint(TRUNCATE)");
  ASSERT_TRUE(add("after the checkpoint"));
  cut_power_and_restart();
  EXPECT_EQ(things().size(), 2001U);
  EXPECT_EQ(integrity(), "ok");
}

TEST_F(FaultVfsTest, WhatWasNotSyncedMayBeKeptInPartAndTheFileStaysWhole) {
  int lost = 0;
  int kept = 0;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ASSERT_TRUE(add("synced"));
    auto before = things().size();
    open(Synchronous::kNormal);
    ASSERT_TRUE(add("written"));
    cut_power_and_restart(seed);
    auto after = things().size();
    ++(after == before ? lost : kept);
    EXPECT_LE(after, before + 1);
    EXPECT_GE(after, before);
    ASSERT_EQ(integrity(), "ok");
  }
  EXPECT_GT(lost, 0);
  EXPECT_GT(kept, 0);
}

TEST_F(FaultVfsTest, AfterThePowerCutNothingWorksUntilTheThaw) {
  ASSERT_TRUE(add("synced"));
  disk_.cut();
  auto failed = add("too late");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(Connection::open({.path = path_, .vfs = disk_.name()}));
  connection_.reset();
  disk_.revert();
  disk_.thaw();
  open();
  EXPECT_EQ(things(), Names{"synced"});
}

TEST_F(FaultVfsTest, TheLogThatClosingDeletedIsBackAfterAPowerCutAndChangesNothing) {
  ASSERT_TRUE(add("a"));
  connection_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_.string() + "-wal"));
  disk_.cut();
  disk_.revert();
  disk_.thaw();
  EXPECT_TRUE(std::filesystem::exists(path_.string() + "-wal"));
  open();
  EXPECT_EQ(things(), Names{"a"});
  EXPECT_EQ(integrity(), "ok");
}

struct WriteFaultCase {
  FaultKind kind;
  int code;
};

class FaultyWriteTest : public FaultVfsTest, public testing::WithParamInterface<WriteFaultCase> {};

TEST_P(FaultyWriteTest, FailsItsTransactionAndTheNextSucceeds) {
  Names expected;
  bool went_through = false;
  for (std::uint64_t nth = 1; !went_through; ++nth) {
    SCOPED_TRACE("write " + std::to_string(nth));
    auto met = disk_.faults_met();
    disk_.inject({.kind = GetParam().kind, .files = "a.db", .nth = nth});
    auto added = add("fails");
    disk_.heal();
    went_through = disk_.faults_met() == met;
    ASSERT_EQ(added.has_value(), went_through);
    if (!added) EXPECT_EQ(added.error().code, ErrorCode::kUnavailable);
    if (added) expected.emplace_back("fails");
    EXPECT_EQ(things(), expected);
    ASSERT_TRUE(add("next"));
    expected.emplace_back("next");
    cut_power_and_restart();
    ASSERT_EQ(things(), expected);
    ASSERT_EQ(integrity(), "ok");
    ASSERT_LT(nth, 100U);
  }
  EXPECT_GT(disk_.faults_met(), 0U);
}

TEST_P(FaultyWriteTest, SaysWhatFailed) {
  disk_.inject({.kind = GetParam().kind});
  try {
    connection_->execute("INSERT INTO things VALUES ('a')");
    FAIL() << "the write went through";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), GetParam().code);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, FaultyWriteTest,
                         testing::Values(WriteFaultCase{FaultKind::kWriteError, SQLITE_IOERR_WRITE},
                                         WriteFaultCase{FaultKind::kTornWrite, SQLITE_IOERR_WRITE},
                                         WriteFaultCase{FaultKind::kDiskFull, SQLITE_FULL},
                                         WriteFaultCase{FaultKind::kSyncError, SQLITE_IOERR_FSYNC}),
                         [](const auto& instance) { return "Kind" + std::to_string(static_cast<int>(instance.param.kind)); });

TEST_F(FaultVfsTest, ALastingFaultLastsUntilHealed) {
  disk_.inject({.kind = FaultKind::kDiskFull, .is_lasting = true});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(add("no room"));
  EXPECT_EQ(things(), Names{});
  disk_.heal();
  EXPECT_TRUE(add("room"));
  EXPECT_EQ(things(), Names{"room"});
  EXPECT_EQ(integrity(), "ok");
}

TEST_F(FaultVfsTest, AFullDiskMayStillTakeWritesThatDoNotExtendAFile) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(add("a"));
  connection_->execute("PRAGMA wal_checkpoint(RESTART)");  // the log begins again at its start, in the space it has
  disk_.inject({.kind = FaultKind::kDiskFull, .is_lasting = true, .only_extending = true});
  EXPECT_TRUE(add("b"));
  EXPECT_FALSE(connection_->transaction([&] {
    for (int i = 0; i < 200; ++i) connection_->statement("INSERT INTO things VALUES (?1)").run(std::string(4000, 'x'));
  }));
  disk_.heal();
  EXPECT_EQ(things().size(), 21U);
  EXPECT_TRUE(add("c"));
}

TEST_F(FaultVfsTest, AFaultMeetsOnlyTheFilesItNames) {
  Connection other = Connection::open({.path = folder_.path() / "b.db", .vfs = disk_.name()}).value();
  other.execute("CREATE TABLE things (name TEXT)");
  disk_.inject({.kind = FaultKind::kSyncError, .files = "b.db", .is_lasting = true});
  EXPECT_TRUE(add("a"));
  EXPECT_FALSE(other.transaction([&] { other.execute("INSERT INTO things VALUES ('a')"); }));
}

TEST_F(FaultVfsTest, ACommitIsOneSyncOfTheLog) {
  ASSERT_TRUE(add("a"));
  auto before = disk_.counts("a.db-wal");
  auto all_before = disk_.counts();
  ASSERT_TRUE(add("b"));
  EXPECT_EQ(disk_.counts("a.db-wal").syncs, before.syncs + 1);
  EXPECT_EQ(disk_.counts().syncs, all_before.syncs + 1);
  EXPECT_GT(disk_.counts("a.db-wal").writes, before.writes);
  EXPECT_EQ(disk_.counts("b.db").writes, 0U);
}

TEST_F(FaultVfsTest, AHeldSyncKeepsItsCommitOpen) {
  ASSERT_TRUE(add("a"));
  Connection reader = Connection::open({.path = path_, .vfs = disk_.name(), .read_only = true}).value();
  disk_.hold_syncs("a.db-wal");
  std::jthread committing([&] { EXPECT_TRUE(add("b")); });
  disk_.wait_until_held();
  EXPECT_EQ(things_of(reader), Names{"a"});
  disk_.release_syncs();
  committing.join();
  EXPECT_EQ(things_of(reader), (Names{"a", "b"}));
}

TEST_F(FaultVfsTest, AFaultInjectedWhileASyncIsHeldFailsIt) {
  disk_.hold_syncs();
  std::jthread committing([&] { EXPECT_FALSE(add("a")); });
  disk_.wait_until_held();
  disk_.inject({.kind = FaultKind::kSyncError});
  disk_.release_syncs();
  committing.join();
  EXPECT_TRUE(add("b"));
  EXPECT_EQ(things(), Names{"b"});
}

TEST_F(FaultVfsTest, APowerCutDuringASyncLosesItsCommit) {
  ASSERT_TRUE(add("a"));
  disk_.hold_syncs("", /*nth=*/2);
  ASSERT_TRUE(add("b"));
  std::jthread committing([&] { EXPECT_FALSE(add("c")); });
  disk_.wait_until_held();
  disk_.cut();
  committing.join();
  disk_.release_syncs();
  cut_power_and_restart();
  EXPECT_EQ(things(), (Names{"a", "b"}));
}

// The disk without SQLite's care around it.
class RawFileTest : public testing::Test {
 protected:
  void open() { open_at(path_, SQLITE_OPEN_MAIN_DB); }
  void open_at(const std::string& path, int kind) {
    memory_.resize(static_cast<std::size_t>(vfs()->szOsFile));
    file_ = reinterpret_cast<sqlite3_file*>(memory_.data());
    ASSERT_EQ(vfs()->xOpen(vfs(), path.c_str(), file_, kind | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr), SQLITE_OK);
  }
  void close() { ASSERT_EQ(file_->pMethods->xClose(file_), SQLITE_OK); }
  void write(std::string_view bytes, int offset) {
    ASSERT_EQ(file_->pMethods->xWrite(file_, bytes.data(), static_cast<int>(bytes.size()), offset), SQLITE_OK);
  }
  int sync() { return file_->pMethods->xSync(file_, SQLITE_SYNC_NORMAL); }
  void truncate(int size) { ASSERT_EQ(file_->pMethods->xTruncate(file_, size), SQLITE_OK); }
  void remove(int sync_folder) { ASSERT_EQ(vfs()->xDelete(vfs(), path_.c_str(), sync_folder), SQLITE_OK); }
  void cut_power() {
    disk_.cut();
    disk_.revert();
    disk_.thaw();
  }
  std::optional<std::string> content() const {
    std::ifstream file(path_, std::ios::binary);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  sqlite3_vfs* vfs() { return sqlite3_vfs_find(disk_.name().c_str()); }

  TemporaryFolder folder_;
  const std::string path_ = folder_.path() / "raw";
  FaultVfs disk_;
  std::vector<std::uint64_t> memory_;
  sqlite3_file* file_ = nullptr;
};

TEST_F(RawFileTest, OnlySyncedWritesAndTruncationsSurvive) {
  open();
  write("0123456789", 0);
  ASSERT_EQ(sync(), SQLITE_OK);
  write("xx", 2);
  write("beyond", 20);
  truncate(4);
  close();
  EXPECT_EQ(content(), "01xx");
  cut_power();
  EXPECT_EQ(content(), "0123456789");
}

TEST_F(RawFileTest, ALaterSyncDoesNotMakeDurableWhatAnEarlierOneFailedTo) {
  open();
  write("aaaa", 0);
  ASSERT_EQ(sync(), SQLITE_OK);
  write("bb", 0);
  disk_.inject({.kind = FaultKind::kSyncError});
  ASSERT_EQ(sync(), SQLITE_IOERR_FSYNC);
  write("cc", 2);
  ASSERT_EQ(sync(), SQLITE_OK);
  close();
  EXPECT_EQ(content(), "bbcc");
  cut_power();
  EXPECT_EQ(content(), "aacc");
}

TEST_F(RawFileTest, AFileThatWasNeverSyncedIsGone) {
  open();
  write("a", 0);
  close();
  cut_power();
  EXPECT_EQ(content(), std::nullopt);
}

TEST_F(RawFileTest, AFileDeletedWithoutASyncOfItsFolderIsBack) {
  open();
  write("a", 0);
  ASSERT_EQ(sync(), SQLITE_OK);
  close();
  remove(/*sync_folder=*/0);
  open();
  write("b", 0);
  close();
  cut_power();
  EXPECT_EQ(content(), "a");

  remove(/*sync_folder=*/1);
  cut_power();
  EXPECT_EQ(content(), std::nullopt);
}

TEST_F(RawFileTest, ASyncOfTheFolderMakesDurableThatAFileIsThereAndNotWhatIsInIt) {
  open();
  write("a", 0);
  close();
  open_at(path_ + "-wal", SQLITE_OPEN_WAL);
  ASSERT_EQ(sync(), SQLITE_OK);
  close();
  cut_power();
  EXPECT_EQ(content(), "");
}

TEST_F(RawFileTest, WhatOthersWroteWhileItWasClosedIsDurable) {
  open();
  write("a", 0);
  close();
  std::ofstream(path_) << "theirs";
  open();
  write("X", 0);
  close();
  cut_power();
  EXPECT_EQ(content(), "theirs");
}

TEST_F(RawFileTest, ATornWriteLeavesItsFirstHalf) {
  open();
  disk_.inject({.kind = FaultKind::kTornWrite});
  EXPECT_EQ(file_->pMethods->xWrite(file_, "abcd", 4, 0), SQLITE_IOERR_WRITE);
  close();
  EXPECT_EQ(content(), "ab");
}

TEST_F(RawFileTest, APartOfWhatWasNotSyncedIsKeptBySectors) {
  open();
  ASSERT_EQ(sync(), SQLITE_OK);
  bool saw_none = false;
  bool saw_all = false;
  bool saw_torn = false;
  close();
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    open();
    truncate(0);
    write(std::string(1024, '-'), 0);
    ASSERT_EQ(sync(), SQLITE_OK);
    write(std::string(1024, 'x'), 0);
    close();
    disk_.cut();
    disk_.revert(seed);
    disk_.thaw();
    std::string found = content().value();
    ASSERT_EQ(found.size(), 1024U);
    for (std::size_t sector : {0U, 512U}) EXPECT_EQ(found.substr(sector, 512), std::string(512, found[sector]));
    saw_none |= found[0] == '-' && found[512] == '-';
    saw_all |= found[0] == 'x' && found[512] == 'x';
    saw_torn |= found[0] != found[512];
  }
  EXPECT_TRUE(saw_none);
  EXPECT_TRUE(saw_all);
  EXPECT_TRUE(saw_torn);
}

}  // namespace
}  // namespace hearth::sqlite
