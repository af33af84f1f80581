#pragma once

// Likes in SQL: what the outbox has brought there so far, for loading what is not in memory and for other programs.
//
// Promises, checked on every implementation by like_ledger_conformance.h:
//  - apply() writes a batch and the cursor in one transaction: a batch that is applied twice changes nothing.
//  - A count is never overwritten by an older version.
//  - The count of a post is the number of its rows, unless another program wrote here.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/likes/like.h"
#include "hearth/outbox/event.h"
#include "hearth/outbox/journal.h"

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

// A consumer's place in the outbox. The checksum of the entry there shows whether the outbox is still the same one.
struct LedgerCursor {
  outbox::Sequence sequence = 0;
  std::uint64_t checksum = 0;
};

struct LedgerBatch {
  std::vector<outbox::LikeChanged> events;  // in outbox order
  LedgerCursor cursor;                      // behind the last of them
};

struct AppliedBatch {
  std::size_t posts = 0;
  std::size_t rows = 0;  // of sessions that like, written or deleted
  std::size_t gaps = 0;  // posts whose chain of versions was broken: recounted from their rows
};

// A change of a session that may not have reached the ledger yet.
struct TailEvent {
  outbox::Sequence sequence = 0;
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
  // Up to `limit` posts after `after` in the order of their ids, with their rows counted.
  virtual Task<Result<std::vector<AuditedPost>>> audit(std::string after, std::size_t limit) = 0;
  // Makes the post's count and rows exactly these, if its version is still the expected one (0: unknown post). False: it is
  // not. Rows that stay keep their time.
  virtual Task<Result<bool>> repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) = 0;

  // For the flusher's thread; these block.
  virtual Result<AppliedBatch> apply(const LedgerBatch& batch) = 0;
  virtual Result<LedgerCursor> cursor() = 0;
  virtual Result<std::uint64_t> post_count() = 0;
};

}  // namespace hearth::likes
