#pragma once

// The embedded limiter: exact limits in memory, kept over restarts by a log of their own (limit_log.h).
//
// Each shard of the keys has a lock; several checks lock their shards in order, so that all are decided at one moment.
//
// Memory: one admission of a key of 20 bytes takes 75 to 80 bytes in all (75 with a million keys), and a longer log 12
// bytes a pair more, twice that after it has just grown. `memory_limit` bounds all of it, counted as it is allocated.
// New keys may take seven eighths, the rest is for the logs of those that are there. At the bound a take gets kUnavailable after
// what has expired in its shard was looked for, a bounded number of records a call; the cleaner looks through all of it at once.
//
// Time is that of limit_log.h: microseconds, from the clock that counts since the machine started. Windows of kFixedWindow
// begin by the wall clock as it was when the store started. Decision::reset is by the wall clock as it is now: in the store's time, and
// what the wall clock was stepped by since.
//
// Thread-safe; answers never wait. clean() belongs to one thread: that of start(), or a test's.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/base/function_ref.h"
#include "hearth/limits/limiter.h"
#include "hearth/limits/stores/limit_log.h"
#include "hearth/limits/stores/limit_table.h"

namespace hearth::limits {

struct MemoryLimiterOptions {
  std::uint64_t memory_limit = 256ull << 20;         // some three million keys
  std::size_t exact_entries_max = kExactEntriesMax;  // pairs in a key's log; more than that are rounded to ticks
  LimitLogOptions log = {};                          // its path is made by open()
  bool cleans_itself = true;                         // on a thread of its own; else by whoever calls clean()
};

class MemoryLimiter final : public Limiter {
 public:
  // With its log as limits.db in `folder`, replayed.
  static Result<std::unique_ptr<MemoryLimiter>> open(const std::filesystem::path& folder, const Clock& clock,
                                                     MemoryLimiterOptions options = {});
  // Without a log: what it knows ends with the process.
  explicit MemoryLimiter(const Clock& clock, MemoryLimiterOptions options = {});
  ~MemoryLimiter() override;

  // The log's commits, and the cleaner. Before it nothing is logged.
  void start();
  // What was appended is on disk afterwards. Safe twice and before start().
  void stop();

  Task<Result<std::vector<Decision>>> take(std::vector<Check> checks) override;
  Task<Result<std::vector<Decision>>> peek(std::vector<Check> checks) override;
  Task<Result<Decision>> refund(Check check) override;

  // Drops what has expired, and rewrites the log, a bounded part of each a call. True: there is more to do at once.
  Result<bool> clean();

  struct Stats {
    std::uint64_t keys = 0;
    std::uint64_t bytes = 0;
    std::uint64_t refused_full = 0;  // takes that found no room
    std::uint64_t expired = 0;       // keys that left
    std::uint64_t log_bytes = 0;
    std::uint64_t log_refused = 0;  // appends and commits that failed
    std::uint64_t log_rewritten = 0;
    bool is_logged = false;  // a crash would forget nothing but the last moment
  };
  Stats stats() const;

 private:
  struct Shard;
  class Locks;
  struct Asked;
  struct Taken;
  struct Reading;
  struct Position {
    std::size_t shard = 0;
    std::size_t chunk = 0;
  };

  MemoryLimiter(const Clock& clock, MemoryLimiterOptions options, std::unique_ptr<LimitLog> log);
  Result<void> replay();
  void replay_one(LimitEvent& event, UtcMicros now);
  Result<std::vector<Decision>> decide(std::span<const Check> checks, bool takes);
  std::vector<Decision> peek_all(std::span<const Asked> asked, UtcMicros now, const Reading& clock);
  Decision peek_one(const Asked& asked, UtcMicros now);
  Result<Decision> take_one(const Asked& asked, UtcMicros now, std::vector<Taken>& taken);
  void undo(std::vector<Taken>& taken);
  void log_taken(const std::vector<Taken>& taken, UtcMicros now);
  bool has_room(Shard& shard, FunctionRef<std::size_t()> needed, std::uint64_t bound, UtcMicros now);
  std::unexpected<Error> full();
  std::size_t drop_expired(Shard& shard, std::size_t chunk, UtcMicros now);
  Reading read_clock() const;
  Shard& shard_of(const HashedName& name);

  bool sweep();
  void rewrite_log();
  bool write_states();
  void say_whether_logged();

  const Clock& clock_;
  const MemoryLimiterOptions options_;
  std::unique_ptr<LimitLog> log_;  // null: none
  const std::chrono::microseconds offset_;
  std::atomic<std::uint64_t> bytes_{0};
  std::vector<std::unique_ptr<Shard>> shards_;

  std::atomic<std::uint64_t> keys_{0};
  std::atomic<std::uint64_t> refused_full_{0};
  std::atomic<std::uint64_t> expired_{0};
  std::atomic<bool> is_full_{false};  // a take found no room since the cleaner last looked

  // Of the cleaner.
  Position swept_;
  std::size_t sweep_all_left_ = 0;  // shards to look through at once
  std::optional<Position> rewritten_;
  bool was_logged_ = true;
  BackgroundTask cleaner_;
};

}  // namespace hearth::limits
