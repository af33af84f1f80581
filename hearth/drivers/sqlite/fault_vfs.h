#pragma once

// A disk that fails on command, for tests: a SQLite VFS over the default one.
//
//   FaultVfs disk;
//   auto connection = Connection::open({.path = path, .vfs = disk.name()});
//   disk.inject({.kind = FaultKind::kSyncError, .files = "journal.db", .nth = 3});
//
// Faults: the n-th write or sync from now on fails, or that one and all later ones until heal().
//
// Power cut: the disk knows what was synced. cut() stops all input and output; once the connections are closed, revert()
// takes every file back to what was synced, and thaw() lets them be opened again. It assumes the worst that Linux allows:
//  - what was written since the last successful sync of its file is lost; with a seed, a part of it is kept, whole or torn;
//  - what a failed sync was to make durable is not made durable by a later one;
//  - a file that was made and never synced is gone; one that was deleted without a sync of its folder is back.
// A sync reaches this model only, not the real disk: tests need not wait for it.
//
// Held syncs: a test can keep a commit open for as long as it likes.
//
// `files` selects files whose name (without folder) contains it, so "journal.db" is journal.db, its WAL and its rollback
// journal, and "-wal" every WAL; empty selects all. Files without a name (SQLite's temporary ones) are left alone.
//
// Every connection to these files goes through one FaultVfs, and is closed before its end. The content of each file is
// kept in memory. Thread-safe.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::sqlite {

enum class FaultKind : std::uint8_t {
  kWriteError,  // SQLITE_IOERR_WRITE, nothing written
  kTornWrite,   // SQLITE_IOERR_WRITE, the first half written
  kDiskFull,    // SQLITE_FULL, nothing written
  kSyncError,   // SQLITE_IOERR_FSYNC
};

struct Fault {
  FaultKind kind = FaultKind::kWriteError;
  std::string files = {};
  std::uint64_t nth = 1;        // of the operations it applies to, from inject() on; 1 is the next
  bool is_lasting = false;      // and every later one, until heal()
  bool only_extending = false;  // applies only to writes that make their file longer
};

class FaultVfs {
 public:
  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  // For OpenOptions::vfs.
  const std::string& name() const;

  // What was asked for since the beginning, whether it failed or not.
  struct Counts {
    std::uint64_t writes = 0;
    std::uint64_t syncs = 0;
    std::uint64_t truncates = 0;
  };
  Counts counts(std::string_view files = {}) const;

  void inject(Fault fault);
  // Forgets all faults that were injected.
  void heal();
  // How many operations have failed by faults. A sweep over `nth` is through when this stays 0.
  std::uint64_t faults_met() const;

  // From now on every operation fails with SQLITE_IOERR, those in a held sync too.
  void cut();
  // REQUIRES: cut(), and every connection is closed. With `keep_seed`, what was not synced is kept or lost at random.
  void revert(std::optional<std::uint64_t> keep_seed = std::nullopt);
  // Ends the power cut.
  void thaw();

  // The `nth` sync from now on of these files, and all later ones, wait until release_syncs(). Faults injected meanwhile
  // apply to them afterwards.
  void hold_syncs(std::string files = {}, std::uint64_t nth = 1);
  // Waits until a sync is held.
  void wait_until_held();
  void release_syncs();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::sqlite
