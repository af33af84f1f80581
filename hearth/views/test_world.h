#pragma once

// For tests: the embedded live store of views with its journal and its flusher, as the executable wires them, on a disk that
// can fail and lose power, with a clock of its own.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/outbox/journal.h"
#include "hearth/outbox/test_loops.h"
#include "hearth/views/stores/memory_view_store.h"
#include "hearth/views/test_view_ledger.h"
#include "hearth/views/view_flusher.h"

namespace hearth::views {

struct TestStackOptions {
  std::string vfs = {};
  outbox::Durability durability = outbox::Durability::kCommit;
  MemoryViewStoreOptions store = {};
};

class TestStack {
 public:
  TestStack(const std::filesystem::path& folder, const Clock& clock, ViewLedger& ledger, const TestStackOptions& options)
      : TestStack(Opened{}, folder, clock, ledger, options) {
    journal->start(outbox::must(flusher->start()), store.get());
    flush();
    outbox::must(store->start());
  }
  ~TestStack() {
    journal->stop();
    file->stop();
  }

  // Brings everything durable to views.db, as the background task does step by step.
  void flush() { outbox::must(try_flush()); }
  Result<void> try_flush() {
    std::lock_guard lock(flushing);
    for (;;) {
      auto more = flusher->run_once();
      journal->trim(flusher->flushed());
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
    }
  }

  std::mutex flushing;
  std::unique_ptr<outbox::Journal> journal;
  std::unique_ptr<ViewsFile> file;
  std::unique_ptr<ViewFlusher> flusher;
  std::unique_ptr<MemoryViewStore> store;

 private:
  struct Opened {};
  // On its own, so that the destructor stops what was started if the rest of the start fails.
  TestStack(Opened, const std::filesystem::path& folder, const Clock& clock, ViewLedger& ledger, const TestStackOptions& options) {
    journal = outbox::must(outbox::Journal::open({.path = folder / "journal.db",
                                                  .vfs = options.vfs,
                                                  .durability = options.durability,
                                                  .retry_first = std::chrono::milliseconds(1)}));
    file = outbox::must(ViewsFile::open(folder / "views.db", options.vfs));
    flusher = std::make_unique<ViewFlusher>(*journal, *file, clock, options.store.window, [this] { (void)try_flush(); });
    store = std::make_unique<MemoryViewStore>(*journal, *file, *flusher, ledger, clock, options.store);
  }
};

class World {
 public:
  explicit World(TestStackOptions wanted = {}) : options(std::move(wanted)) {
    options.vfs = disk.name();
    open();
  }

  void open() { stack = std::make_unique<TestStack>(folder.path(), clock, ledger, options); }
  void restart() {
    stack.reset();
    open();
  }
  // The same on a disk that may fail once or twice while it stops and starts.
  void restart_despite_faults() {
    stack.reset();
    for (int attempt = 0; attempt < 3 && !stack; ++attempt) {
      try {
        open();
      } catch (const std::runtime_error&) {
        if (attempt == 2) throw;
      }
    }
  }
  // Loses power and starts again with what the disk has: what was synced, and with a seed some of the rest.
  void lose_power(std::optional<std::uint64_t> keep_seed = std::nullopt) {
    disk.cut();
    disk.release_syncs();
    stack.reset();
    disk.revert(keep_seed);
    disk.thaw();
    open();
  }
  // After a failed write: waits until views are accepted again, and flushes, so that all items can be loaded.
  void recover() {
    while (!stack->journal->is_accepting()) std::this_thread::yield();
    while (!stack->try_flush()) {
    }
  }

  outbox::Loops loops{4};
  sqlite::TemporaryFolder folder;
  sqlite::FaultVfs disk;
  SimulatedClock clock;
  TestViewLedger ledger;
  TestStackOptions options;
  std::unique_ptr<TestStack> stack;
};

}  // namespace hearth::views
