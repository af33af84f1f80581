#pragma once

// The embedded outbox: a durable, ordered log of what changed, and the group commit that answers wait for.
//
// A change appends its event to the open batch, inside the critical section that changes memory, so that the order of the
// log is the order of the changes. The commit thread writes one batch as one row in one synced transaction; while it
// syncs, the next batch fills. A batch that commits is durable: all who wait for it go on.
//
// Failed commit (rule: a batch whose sync failed may still reappear after a crash): the batch, and the one that was
// filling, are lost; those who wait for them get kUnavailable; the listener drops what they touched; append() refuses
// until an empty batch has been committed over the remains. With kRelaxed, where answers do not wait for the sync, a failed
// sync loses nothing; append() refuses until all that was written is on disk.
//
// The log is bounded: when the entries not yet trimmed exceed outbox_bytes_max, append() refuses (kUnavailable).
//
// Each entry carries a checksum; read() fails on one that the disk has damaged.
//
// Thread-safe, but see durable().

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"

namespace hearth::outbox {

using Sequence = std::uint64_t;  // number of a batch; grows by one, 0 is before the first

enum class Durability : std::uint8_t {
  kCommit,   // durable() returns after the batch is synced
  kRelaxed,  // durable() returns after it is written; synced within kRelaxedSyncPeriod. A crash of the process loses nothing.
};
inline constexpr std::chrono::milliseconds kRelaxedSyncPeriod{50};

struct JournalOptions {
  std::filesystem::path path = {};
  std::string vfs = {};  // empty: the default; tests pass a fault-injecting one
  Durability durability = Durability::kCommit;
  std::uint64_t outbox_bytes_max = 256ull << 20;
  std::chrono::milliseconds retry_first{50};  // after a failed commit; doubles up to 1 s
  int checkpoint_pages = 4'000;               // of the write-ahead log, 4 KiB each: copied into the file above that
};

struct JournalEntry {
  Sequence sequence = 0;
  std::string events;  // outbox::decode() reads them
};

// The answer that an Idempotency-Key got, kept beside the change it made.
struct IdempotencyRecord {
  std::string key;      // caller, method, path and key, hashed
  std::string content;  // opaque to the journal
  UtcMicros at{};
};

class JournalListener {
 public:
  virtual ~JournalListener() = default;
  // The batches from `first` on are lost. Called on the commit thread, before those who wait for them are told.
  virtual void on_lost(Sequence first) = 0;
};

class Journal {
 public:
  static Result<std::unique_ptr<Journal>> open(JournalOptions options);
  ~Journal();

  // Starts the commit thread. Batches are numbered above both the log's last entry and `above`, so that a consumer whose
  // cursor is ahead of a log that was lost skips nothing. `listener` may be null and outlives the journal's stop().
  void start(Sequence above, JournalListener* listener);
  // Commits what is open, tells all who wait, joins. append() fails from then on. Safe twice and before start().
  void stop();
  // Drops the coroutines whose io_contexts have ended before they could go on. REQUIRES: stop() returned, none of those
  // io_contexts runs any more, and all of them still exist.
  void abandon_waiters();

  // Random, made with the file, and kept in it.
  const std::string& id() const;

  // Adds to the open batch and returns its number. Never blocks on the disk. kUnavailable: nothing was added.
  // `record`, when given, is kept with the batch and comes back from idempotency_records() after a restart.
  Result<Sequence> append(std::string_view events, const IdempotencyRecord* record = nullptr);

  // Waits until batch `sequence` is durable (see Durability); kUnavailable if it was lost.
  // Must run on the one thread of its io_context, which outlives stop().
  Task<Result<void>> durable(Sequence sequence);
  // The newest batch for which durable() has nothing to wait for.
  Sequence durable_mark() const;
  bool is_accepting() const;

  // Consumers. Entries above `after` in order, up to about `bytes_max` bytes but at least one if there is one; durable
  // ones only. Each consumer keeps its own cursor.
  Result<std::vector<JournalEntry>> read(Sequence after, std::size_t bytes_max);
  // Consumers have passed `up_to`: entries below it may go. The entry at `up_to` stays: it proves that the log still holds
  // what the cursor has seen.
  void trim(Sequence up_to);
  // The checksum of entry `sequence`, 0 if it is not in the log.
  Result<std::uint64_t> checksum_at(Sequence sequence);

  // Records younger than `since`, and from then on older ones may be pruned by prune_idempotency().
  Result<std::vector<IdempotencyRecord>> idempotency_records(UtcMicros since);
  void prune_idempotency(UtcMicros before);

  struct Stats {
    std::uint64_t backlog_bytes = 0;  // appended and not yet trimmed
    std::uint64_t commits = 0;
    std::uint64_t failed_commits = 0;
    std::uint64_t commit_micros = 0;  // summed
  };
  Stats stats() const;

 private:
  class Impl;
  explicit Journal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::outbox
