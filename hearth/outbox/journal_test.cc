#include "hearth/outbox/journal.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/base/hash.h"
#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/outbox/event.h"
#include "hearth/outbox/test_loops.h"

namespace hearth::outbox {
namespace {

using sqlite::FaultKind;

class NotedLosses final : public JournalListener {
 public:
  void on_lost(Sequence first) override { lost.push_back(first); }
  std::vector<Sequence> lost;
};

class JournalTest : public testing::Test {
 protected:
  ~JournalTest() override {
    if (journal) journal->stop();
  }

  Result<std::unique_ptr<Journal>> open(JournalOptions options = {}) {
    options.path = folder.path() / "journal.db";
    options.vfs = disk.name();
    options.retry_first = std::chrono::milliseconds(1);
    return Journal::open(std::move(options));
  }
  void restart(JournalOptions options = {}, Sequence above = 0) {
    stop();
    journal = must(open(std::move(options)));
    journal->start(above, &losses);
  }
  void stop() {
    if (journal) journal->stop();
    journal.reset();
  }

  Sequence append(const std::string& events) { return must(journal->append(events)); }
  Result<void> wait(Sequence sequence) { return run(journal->durable(sequence)); }
  Sequence commit(const std::string& events) {
    Sequence sequence = append(events);
    must(wait(sequence));
    return sequence;
  }
  // Starts a commit and keeps its sync open.
  Sequence commit_held(const std::string& events) {
    disk.hold_syncs("journal.db");
    Sequence sequence = append(events);
    disk.wait_until_held();
    return sequence;
  }
  std::string read(Sequence after = 0) {
    std::string all;
    for (const auto& entry : must(journal->read(after, 1 << 20))) all += std::to_string(entry.sequence) + "=" + entry.events + " ";
    return all;
  }
  // Until a sync that began after what was committed before.
  void commit_until_synced() {
    auto syncs = disk.counts("journal.db-wal").syncs;
    while (disk.counts("journal.db-wal").syncs == syncs) {
      commit("x");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void recovered() {
    while (!journal->is_accepting()) std::this_thread::yield();
  }
  // Loses power, and starts again with what is on the disk then.
  void lose_power(JournalOptions options = {}, std::optional<std::uint64_t> keep_seed = std::nullopt) {
    disk.cut();
    stop();
    disk.revert(keep_seed);
    disk.thaw();
    restart(std::move(options));
  }
  void execute(const char* sql) {
    auto connection = must(sqlite::Connection::open({.path = folder.path() / "journal.db", .vfs = disk.name()}));
    must(sqlite::Connection::guard([&] { connection.execute(sql); }));
  }

  Loops loops;
  sqlite::TemporaryFolder folder;
  sqlite::FaultVfs disk;
  NotedLosses losses;
  std::unique_ptr<Journal> journal;
};

// --- order and durability ---

TEST_F(JournalTest, KeepsItsIdAndNoOtherHasIt) {
  restart();
  auto id = journal->id();
  EXPECT_EQ(id.size(), 32u);
  restart();
  EXPECT_EQ(journal->id(), id);
  stop();
  std::filesystem::remove(folder.path() / "journal.db");
  restart();
  EXPECT_NE(journal->id(), id);
}

TEST_F(JournalTest, EntriesComeBackInOrderAlsoAfterARestart) {
  restart();
  EXPECT_EQ(commit("a"), 1u);
  EXPECT_EQ(commit("b"), 2u);
  EXPECT_EQ(read(), "1=a 2=b ");
  EXPECT_EQ(read(1), "2=b ");
  EXPECT_EQ(read(2), "");
  restart();
  EXPECT_EQ(commit("c"), 3u);
  EXPECT_EQ(read(), "1=a 2=b 3=c ");
}

TEST_F(JournalTest, ManyWaitersShareOneSync) {
  restart();
  commit_held("first");
  std::vector<std::shared_ptr<Started<Result<void>>>> waiters;
  auto syncs = disk.counts("journal.db").syncs;
  for (int i = 0; i < 100; ++i) {
    Sequence sequence = append(std::to_string(i % 10));
    EXPECT_EQ(sequence, 2u);
    waiters.push_back(start(loops[0], journal->durable(sequence)));
  }
  loops.poll();
  for (const auto& waiter : waiters) EXPECT_FALSE(waiter->is_answered());
  disk.release_syncs();
  loops.run();
  for (const auto& waiter : waiters) EXPECT_TRUE(*waiter->answer);
  EXPECT_EQ(disk.counts("journal.db").syncs - syncs, 1u);
  EXPECT_EQ(must(journal->read(1, 1 << 20)).at(0).events.size(), 100u);
}

TEST_F(JournalTest, NothingIsReadBeforeItIsDurable) {
  restart();
  commit("a");
  Sequence held = commit_held("b");
  EXPECT_EQ(journal->durable_mark(), held - 1);
  EXPECT_EQ(read(), "1=a ");
  auto waiter = start(loops[0], journal->durable(held));
  loops.poll();
  EXPECT_FALSE(waiter->is_answered());
  disk.release_syncs();
  loops.run();
  EXPECT_EQ(journal->durable_mark(), held);
  EXPECT_EQ(read(), "1=a 2=b ");
}

TEST_F(JournalTest, WaitersOfOtherThreadsAreWokenToo) {
  restart();
  Loops four(4);
  std::vector<std::shared_ptr<Started<Result<void>>>> waiters;
  Sequence held = commit_held("a");
  for (int i = 0; i < 8; ++i) waiters.push_back(start(four[i], journal->durable(held)));
  four.poll();
  disk.release_syncs();
  four.run();
  for (const auto& waiter : waiters) EXPECT_TRUE(waiter->is_answered() && *waiter->answer);
  stop();
}

TEST_F(JournalTest, ABatchThatIsDurableIsNotWaitedFor) {
  restart();
  Sequence sequence = commit("a");
  auto waiter = start(loops[0], journal->durable(sequence));
  auto of_nothing = start(loops[0], journal->durable(0));
  loops.poll();
  EXPECT_TRUE(waiter->is_answered() && *waiter->answer);
  EXPECT_TRUE(of_nothing->is_answered() && *of_nothing->answer);
}

TEST_F(JournalTest, ReadingStopsAtItsBoundButGivesOneEntry) {
  restart();
  for (int i = 0; i < 5; ++i) commit(std::string(100, 'x'));
  EXPECT_EQ(must(journal->read(0, 250)).size(), 2u);
  EXPECT_EQ(must(journal->read(0, 1)).size(), 1u);
  EXPECT_EQ(must(journal->read(4, 1'000)).size(), 1u);
}

TEST_F(JournalTest, NumbersStartAboveWhatConsumersHaveSeen) {
  restart({}, /*above=*/41);
  EXPECT_EQ(journal->durable_mark(), 41u);
  EXPECT_EQ(commit("a"), 42u);
  restart({}, /*above=*/7);
  EXPECT_EQ(commit("b"), 43u);
  EXPECT_EQ(read(), "42=a 43=b ");
}

TEST_F(JournalTest, StopCommitsWhatIsOpenAndAnswersAll) {
  restart();
  commit_held("a");
  Sequence open = append("b");
  auto waiter = start(loops[0], journal->durable(open));
  loops.poll();
  std::thread stopping([this] { journal->stop(); });
  disk.release_syncs();
  stopping.join();
  loops.run();
  EXPECT_TRUE(*waiter->answer);
  journal->stop();
  auto refused = journal->append("c");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  restart();
  EXPECT_EQ(read(), "1=a 2=b ");
}

TEST_F(JournalTest, StopAnswersAllOnABrokenDiskToo) {
  restart();
  commit_held("a");
  auto first = start(loops[0], journal->durable(1));
  auto second = start(loops[0], journal->durable(append("b")));
  loops.poll();
  disk.inject({.kind = FaultKind::kSyncError, .is_lasting = true});
  disk.inject({.kind = FaultKind::kWriteError, .is_lasting = true});
  disk.release_syncs();
  journal->stop();
  loops.run();
  EXPECT_FALSE(*first->answer);
  EXPECT_FALSE(*second->answer);
  EXPECT_EQ(losses.lost, std::vector<Sequence>{1});
}

TEST_F(JournalTest, StopBeforeStartIsSafe) {
  journal = must(open());
  journal->stop();
  EXPECT_FALSE(journal->append("a"));
}

// --- bounds and trimming ---

TEST_F(JournalTest, AFullOutboxRefusesUntilItIsTrimmed) {
  restart({.outbox_bytes_max = 1'000});
  int kept = 0;
  Result<Sequence> appended;
  while ((appended = journal->append(std::string(100, 'x')))) {
    must(wait(*appended));
    ++kept;
  }
  EXPECT_EQ(appended.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(kept, 6) << "each costs its bytes and its row";
  journal->trim(3);
  commit(std::string(100, 'x'));
  restart({.outbox_bytes_max = 1'000});
  journal->trim(7);
  for (int i = 0; i < 6; ++i) commit(std::string(100, 'x'));
}

TEST_F(JournalTest, WhatIsBeingCommittedCountsAsBacklog) {
  restart({.outbox_bytes_max = 1'000});
  commit_held(std::string(600, 'x'));
  EXPECT_EQ(journal->stats().backlog_bytes, 600u);
  EXPECT_FALSE(journal->append(std::string(600, 'x')));
  disk.release_syncs();
}

TEST_F(JournalTest, TrimmingKeepsTheEntryAtTheCursor) {
  restart();
  for (const char* events : {"a", "b", "c", "d"}) commit(events);
  journal->trim(3);
  commit("e");
  restart();
  EXPECT_EQ(read(), "3=c 4=d 5=e ");
  EXPECT_EQ(must(journal->checksum_at(3)), checksum64("c"));
  EXPECT_EQ(must(journal->checksum_at(2)), 0u);
}

TEST_F(JournalTest, TrimmingEverythingKeepsTheLastEntry) {
  restart();
  for (int i = 0; i < 3'000; ++i) commit("x");
  Sequence last = commit("last");
  journal->trim(last);
  restart();
  while (must(journal->checksum_at(last - 1)) != 0) std::this_thread::yield(), journal->trim(last);
  EXPECT_EQ(read(), std::to_string(last) + "=last ");
  EXPECT_EQ(commit("next"), last + 1);
}

// A log that was lost has nothing to trim, whatever the consumers have seen.
TEST_F(JournalTest, AnIdleJournalUsesNoProcessorTime) {
  restart({}, /*above=*/10);
  journal->trim(10);
  auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec * 1'000'000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1'000'000 + usage.ru_stime.tv_usec;
  };
  auto before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(used() - before, 50'000);
  EXPECT_EQ(commit("a"), 11u);
}

// --- failed commits ---

TEST_F(JournalTest, AFailedBatchAndTheOneBehindItAreLost) {
  restart();
  commit("a");
  Sequence failed = commit_held("b");
  Sequence behind = append("c");
  auto first = start(loops[0], journal->durable(failed));
  auto second = start(loops[0], journal->durable(behind));
  auto before = start(loops[0], journal->durable(failed - 1));
  disk.inject({.kind = FaultKind::kSyncError, .files = "journal.db"});
  disk.release_syncs();
  loops.run();
  EXPECT_EQ(first->answer->error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(second->answer->error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(*before->answer);
  EXPECT_EQ(losses.lost, std::vector<Sequence>{failed});
  recovered();
  Sequence next = commit("d");
  EXPECT_GT(next, behind);
  EXPECT_FALSE(wait(failed)) << "it stays lost";
  EXPECT_FALSE(wait(behind));
  EXPECT_TRUE(wait(failed - 1));
  lose_power();
  EXPECT_EQ(read(), "1=a 4= 5=d ");
}

TEST_F(JournalTest, NothingIsAcceptedUntilTheDiskTakesACommit) {
  restart();
  commit("a");
  disk.inject({.kind = FaultKind::kSyncError, .files = "journal.db", .is_lasting = true});
  EXPECT_FALSE(wait(append("b")));
  EXPECT_FALSE(journal->is_accepting());
  EXPECT_FALSE(journal->append("c"));
  EXPECT_EQ(read(), "1=a ");
  auto met = disk.faults_met();
  while (disk.faults_met() < met + 3) std::this_thread::yield();
  EXPECT_FALSE(journal->is_accepting());
  disk.heal();
  recovered();
  commit("d");
  lose_power();
  EXPECT_EQ(read().find("=b"), std::string::npos);
  EXPECT_NE(read().find("=d"), std::string::npos);
}

TEST_F(JournalTest, ADiskFullIsOverWhenThereIsRoom) {
  restart();
  commit("a");
  disk.inject({.kind = FaultKind::kDiskFull, .files = "journal.db", .is_lasting = true});
  EXPECT_FALSE(wait(append(std::string(10'000, 'b'))));
  EXPECT_FALSE(journal->append("c"));
  disk.heal();
  recovered();
  Sequence sequence = commit("d");
  EXPECT_EQ(read().find('b'), std::string::npos);
  EXPECT_EQ(read(sequence - 1), std::to_string(sequence) + "=d ");
}

TEST_F(JournalTest, AFailedTrimIsTriedAgain) {
  restart();
  for (const char* events : {"a", "b", "c"}) commit(events);
  disk.inject({.kind = FaultKind::kWriteError, .files = "journal.db"});
  journal->trim(3);
  while (journal->stats().failed_commits == 0) std::this_thread::yield();
  recovered();
  commit("d");
  restart();
  EXPECT_EQ(read().substr(0, 4), "3=c ");
}

// --- relaxed ---

TEST_F(JournalTest, RelaxedAnswersBeforeTheSyncAndSyncsSoonAfter) {
  JournalOptions relaxed{.durability = Durability::kRelaxed};
  restart(relaxed);
  disk.hold_syncs("journal.db");
  commit("a");  // does not wait for the sync
  EXPECT_EQ(read(), "1=a ");
  disk.wait_until_held();
  disk.release_syncs();
  commit("b");
  commit_until_synced();
  lose_power(relaxed);
  EXPECT_TRUE(read().starts_with("1=a 2=b "));
}

TEST_F(JournalTest, RelaxedSyncsWhenItStops) {
  JournalOptions relaxed{.durability = Durability::kRelaxed};
  restart(relaxed);
  commit("a");
  journal->stop();
  lose_power(relaxed);
  EXPECT_EQ(read(), "1=a ");
}

TEST_F(JournalTest, RelaxedLosesNothingInACrashOfTheProcess) {
  JournalOptions relaxed{.durability = Durability::kRelaxed};
  restart(relaxed);
  disk.hold_syncs("journal.db");
  commit("a");
  // What another process would find if this one ended now.
  auto connection = must(sqlite::Connection::open({.path = folder.path() / "journal.db", .vfs = disk.name(), .read_only = true}));
  auto found = must(sqlite::Connection::guard([&] {
    auto& row = connection.statement("SELECT count(*) FROM journal").query();
    row.next();
    auto count = row.integer(0);
    row.reset();
    return count;
  }));
  EXPECT_EQ(found, 1);
  disk.release_syncs();
}

// What a failed sync was for may be missing under a later one that succeeds; then everything behind it would be lost too.
TEST_F(JournalTest, RelaxedWritesAgainWhatAFailedSyncWasFor) {
  JournalOptions relaxed{.durability = Durability::kRelaxed};
  restart(relaxed);
  disk.inject({.kind = FaultKind::kSyncError, .files = "journal.db", .is_lasting = true});
  commit("a");
  while (journal->is_accepting()) std::this_thread::yield();
  EXPECT_FALSE(journal->append("b"));
  EXPECT_EQ(read(), "1=a ") << "it is written, and nobody was told that it is lost";
  EXPECT_TRUE(losses.lost.empty());
  disk.heal();
  recovered();
  EXPECT_EQ(commit("c"), 2u);
  commit_until_synced();
  lose_power(relaxed);
  EXPECT_TRUE(read().starts_with("1=a 2=c "));
}

TEST_F(JournalTest, RelaxedRecoversWhenTheSyncOfTheRecoveryFails) {
  JournalOptions relaxed{.durability = Durability::kRelaxed};
  restart(relaxed);
  commit("a");
  disk.inject({.kind = FaultKind::kSyncError, .files = "journal.db", .is_lasting = true});
  disk.inject({.kind = FaultKind::kWriteError, .files = "journal.db"});
  EXPECT_FALSE(wait(append(std::string(10'000, 'b'))));
  auto met = disk.faults_met();
  while (disk.faults_met() < met + 3) std::this_thread::yield();
  EXPECT_FALSE(journal->is_accepting());
  disk.heal();
  recovered();
  commit("c");
  EXPECT_EQ(read().find("bbb"), std::string::npos);
  EXPECT_NE(read().find("=c"), std::string::npos);
}

// --- idempotency records ---

IdempotencyRecord record(const std::string& key, int second) {
  return {.key = key, .content = "answer of " + key, .at = UtcMicros(std::chrono::seconds(second))};
}

TEST_F(JournalTest, RecordsComeBackAfterARestartAndOutliveTheirBatch) {
  restart();
  auto first = record("k1", 100);
  auto second = record("k2", 200);
  Sequence sequence = must(journal->append("a", &first));
  must(wait(sequence));
  must(wait(must(journal->append("", &second))));
  for (int i = 0; i < 3; ++i) sequence = commit("x");
  journal->trim(sequence);
  restart();
  auto found = must(journal->idempotency_records(UtcMicros(std::chrono::seconds(99))));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].key, "k1");
  EXPECT_EQ(found[0].content, "answer of k1");
  EXPECT_EQ(found[0].at, first.at);
  EXPECT_EQ(found[1].key, "k2");
  EXPECT_EQ(must(journal->idempotency_records(first.at)).size(), 1u) << "as old as that is too old";
}

TEST_F(JournalTest, OldRecordsArePrunedAndTheirNumbersNotUsedAgain) {
  restart();
  auto old = record("old", 100);
  auto young = record("young", 200);
  must(wait(must(journal->append("", &old))));
  must(wait(must(journal->append("", &young))));
  journal->prune_idempotency(UtcMicros(std::chrono::seconds(150)));
  commit("a");
  auto found = must(journal->idempotency_records({}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, "young");
  EXPECT_EQ(commit("b"), 4u);
}

TEST_F(JournalTest, ALostBatchTakesItsRecordWithIt) {
  restart();
  disk.inject({.kind = FaultKind::kSyncError, .files = "journal.db"});
  auto lost = record("lost", 100);
  EXPECT_FALSE(wait(must(journal->append("a", &lost))));
  recovered();
  commit("b");
  EXPECT_TRUE(must(journal->idempotency_records({})).empty());
  lose_power();
  EXPECT_TRUE(must(journal->idempotency_records({})).empty());
}

// --- the file ---

TEST_F(JournalTest, CheckpointsKeepTheLogSmall) {
  restart({.checkpoint_pages = 20});
  auto log_bytes = [this] { return std::filesystem::file_size(folder.path() / "journal.db-wal"); };
  std::uint64_t written = 0;
  // The background checkpoint lets the log begin again from its start: it stops growing while more is written.
  while (written < 1'000'000 || written < 2 * log_bytes()) {
    journal->trim(commit(std::string(4'000, 'x')));
    written += 4'000;
  }
  EXPECT_TRUE(journal->is_accepting());
  Sequence last = commit("last");
  restart({.checkpoint_pages = 20});
  EXPECT_EQ(must(journal->checksum_at(last)), checksum64("last"));
}

TEST_F(JournalTest, AFlippedBitInAnEntryIsNoticed) {
  restart();
  commit("a");
  commit("b");
  stop();
  execute("UPDATE journal SET events = x'63' WHERE sequence = 2");
  restart();
  auto read = journal->read(0, 1'000);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kInternal);
  EXPECT_NE(read.error().message.find("entry 2 is damaged"), std::string::npos) << read.error().message;
}

TEST_F(JournalTest, AFileOfANewerHearthIsRefused) {
  restart();
  stop();
  execute("PRAGMA user_version=99");
  auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
}

TEST_F(JournalTest, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(folder.path() / "journal.db") << std::string(10'000, 'x');
  auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("not a database"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace hearth::outbox
