#pragma once

// Who likes what, and how many: the live state that requests read and change.
//
// Promises, checked on every implementation by like_store_conformance.h:
//  - The count of a post is the number of sessions that like it, at every moment.
//  - A change and its outbox event become visible together or not at all.
//  - What an answer shows is durable: nothing is answered from a change that could still be lost.
//  - Versions of a post only grow, and a change that changes nothing gets no new one.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <optional>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/likes/like.h"

namespace hearth::likes {

class LikeStore {
 public:
  virtual ~LikeStore() = default;

  // Makes the change. Asking for the state that is already there is not an error.
  // kUnavailable: it may or may not happen. kConflict-like kIdempotencyKeyReused: nothing was changed.
  virtual Task<Result<LikeOutcome>> change(LikeChange change) = 0;

  // Makes each change in order, and waits once. Each succeeds or fails by itself, but for those with idempotency keys: once
  // one of them is refused, all that follow are. So what was made of a batch with keys is always its beginning, and another
  // request with the same keys is refused at its first change, before anything was made of it.
  // REQUIRES: changes.size() <= kChangesPerBatchMax.
  virtual Task<std::vector<Result<LikeOutcome>>> change_all(std::vector<LikeChange> changes) = 0;

  // The posts as a page shows them, in the order asked; a post nobody liked counts 0. `is_liked` is false without session.
  // REQUIRES: posts.size() <= kPostsPerReadMax.
  virtual Task<Result<std::vector<LikeView>>> read(std::vector<PostId> posts, std::optional<SessionId> session) = 0;
};

}  // namespace hearth::likes
