#pragma once

// Likes in SQL while the live store is away, and what other programs did to the ratings meanwhile or at any time.
//
// As a LikeStore it answers from the ledger and the inbox together. A change is one transaction: it locks the post, works
// out the state that it makes (a toggle becomes a like or an unlike), and appends that state as an operation. So draining
// an operation twice, or into a live store that had already got the change, does nothing wrong. Versions of its answers
// are above the ledger's and every earlier answer's.
//
// A change is refused with kConflict, and nothing is written, unless the mode is kFallback in that very transaction, and
// not about to end (live_control.h): once the live store serves again nothing new can come into the inbox.
//
// Rows that another program inserted into or deleted from the ratings come in as operations of origin kForeign, by a
// trigger, whatever the mode is.
//
// Checked on every implementation by like_inbox_conformance.h, and as a LikeStore by like_store_conformance.h. Thread-safe.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hearth/likes/like_store.h"

namespace hearth::likes {

enum class InboxOrigin : std::uint8_t { kFallback, kForeign };

struct InboxOperation {
  std::uint64_t id = 0;  // grows
  std::string post;
  std::string session;
  bool is_liked = false;
  UtcMicros at{};
  InboxOrigin origin = InboxOrigin::kFallback;
};

// The answer that an Idempotency-Key got in fallback; it is kept where the live store finds it when it is back.
struct AnsweredKey {
  PostId post;
  IdempotencyKey key;
  LikeOutcome outcome;
  UtcMicros at{};
};

class LikeInbox : public LikeStore {
 public:
  // What the session likes by ledger and inbox, newest first.
  virtual Task<Result<std::vector<LikedPost>>> likes_of(std::string session, std::size_t limit) = 0;

  // Draining; these block. The oldest operations in order.
  virtual Result<std::vector<InboxOperation>> operations(std::size_t limit) = 0;
  // They have been made in the live store. Not an error for ones that are gone.
  virtual Result<void> remove(const std::vector<std::uint64_t>& ids) = 0;
  // Keys younger than kIdempotencyKept; older ones are pruned.
  virtual Result<std::vector<AnsweredKey>> answered_keys() = 0;
};

}  // namespace hearth::likes
