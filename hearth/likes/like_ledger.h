#pragma once

// Likes in SQL: what the outbox has brought there so far, for loading what is not in memory and for other programs.
//
// Promises, checked on every implementation by like_ledger_conformance.h:
//  - apply() writes a batch and the partition's cursor in one transaction: a batch that is applied twice changes nothing.
//  - A count is never overwritten by an older version.
//  - Where leases are kept, a batch of one who has lost the partition changes nothing.
//  - The count of a post is the number of its rows, unless another program wrote here.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/likes/like.h"
#include "hearth/outbox/event.h"
#include "hearth/outbox/partition_leases.h"
#include "hearth/outbox/position.h"

namespace hearth::likes {

struct LedgerPost {
  std::string post;
  std::uint32_t likes = 0;
  std::uint64_t version = 0;  // 0: the ledger does not know the post
};

struct LedgerMembers {
  LedgerPost head;
  std::vector<std::string> sessions;
};

// How far a partition has been applied. The checksum of the entry there shows whether the outbox is still the same one.
struct LedgerCursor {
  outbox::Position position;
  std::uint64_t checksum = 0;
};

// What to do with a post whose chain of versions is broken.
enum class OnGap : std::uint8_t {
  kRecount,  // its rows are right, and are counted
  kReport,   // nothing of the batch is written; the caller brings copies of such posts
};

struct LedgerBatch {
  outbox::Partition partition = outbox::kJournalPartition;
  std::vector<outbox::LikeChanged> events;  // in outbox order
  // Posts as the live store has them, each whole and at one version. A copy is written if its version is above the
  // ledger's, and stands for the post's events up to its version.
  std::vector<LedgerMembers> copies = {};
  LedgerCursor cursor;  // behind the last of the events
  OnGap on_gap = OnGap::kRecount;
  std::optional<outbox::Lease> lease = {};  // kConflict if it is lost
};

struct AppliedBatch {
  std::size_t posts = 0;
  std::size_t rows = 0;                     // of sessions that like, written or deleted
  std::size_t gaps = 0;                     // posts whose chain of versions was broken: recounted from their rows
  std::size_t parked = 0;                   // events that SQL refused; they are kept aside for people to look at
  std::vector<std::string> gap_posts = {};  // with kReport: bring copies of these; nothing was written
};

// A change of a session that may not have reached the ledger yet.
struct TailEvent {
  outbox::Partition partition = outbox::kJournalPartition;
  outbox::Position position;
  std::string post;
  bool is_liked = false;
  UtcMicros at{};
};
using ReadTail = std::function<Result<std::vector<TailEvent>>()>;

// A post whose count and rows were compared.
struct AuditedPost {
  LedgerPost head;
  std::uint32_t rows = 0;
};

// Thread-safe.
class LikeLedger {
 public:
  virtual ~LikeLedger() = default;

  // In the order asked; version 0 for unknown posts.
  virtual Task<Result<std::vector<LedgerPost>>> heads(std::vector<std::string> posts) = 0;
  virtual Task<Result<LedgerMembers>> members(std::string post) = 0;
  // What the session likes, newest first. `read_tail` gives what the outbox still holds of the session, in order; it is
  // called before the ledger's snapshot is taken, on a thread that may block, so that nothing falls between the two.
  virtual Task<Result<std::vector<LikedPost>>> likes_of(std::string session, std::size_t limit, ReadTail read_tail) = 0;
  // How far each partition has been applied, the journal too; of those that have a cursor.
  virtual Task<Result<std::vector<std::pair<outbox::Partition, LedgerCursor>>>> cursors() = 0;
  // Up to `limit` posts after `after` in the order of their ids, with their rows counted.
  virtual Task<Result<std::vector<AuditedPost>>> audit(std::string after, std::size_t limit) = 0;
  // Makes the post's count and rows exactly these, if its version is still the expected one (0: unknown post). False: it is
  // not. Rows that stay keep their time.
  virtual Task<Result<bool>> repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) = 0;

  // For the flusher's thread; these block. heads() as above.
  virtual Result<std::vector<LedgerPost>> heads_blocking(const std::vector<std::string>& posts) = 0;
  // Up to `limit` posts after `after` in the order of their ids.
  virtual Result<std::vector<LedgerPost>> heads_after(const std::string& after, std::size_t limit) = 0;
  virtual Result<AppliedBatch> apply(const LedgerBatch& batch) = 0;
  // {0, 0} for a partition of which nothing was applied.
  virtual Result<LedgerCursor> cursor(outbox::Partition partition) = 0;
  // The partition's outbox was found to be another one: its cursor starts over. kConflict if the lease is lost.
  virtual Result<void> reset_cursor(outbox::Partition partition, const outbox::Lease& lease) = 0;
  virtual Result<std::uint64_t> post_count() = 0;
};

}  // namespace hearth::likes
