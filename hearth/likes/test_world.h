#pragma once

// For tests: a stack of likes on a disk that can fail and lose power, with a clock of its own.

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/test_stack.h"

namespace hearth::likes {

class World {
 public:
  explicit World(TestStack::Options wanted = {}) : options(std::move(wanted)) {
    options.vfs = disk.name();
    open();
  }

  void open() { stack = std::make_unique<TestStack>(folder.path(), clock, options); }
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

  // After a failed write: waits until changes are accepted again, and flushes, so that all posts can be loaded.
  void recover() {
    while (!stack->journal->is_accepting()) std::this_thread::yield();
    while (!stack->try_flush()) {
    }
  }

  Loops loops{4};
  sqlite::TemporaryFolder folder;
  sqlite::FaultVfs disk;
  SimulatedClock clock;
  TestStack::Options options;
  std::unique_ptr<TestStack> stack;
};

}  // namespace hearth::likes
