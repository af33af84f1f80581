#pragma once

// Brings what is in the inbox into the live store, through the store's own way of changing.
//
// Several nodes may drain at once, and one may be stopped after it has read operations. So each operation has an
// idempotency key of its own: made a second time it changes nothing, also where later changes were made meanwhile
// (unless the node was stopped for longer than kIdempotencyKept).
//
// Blocks; one thread at a time.

#include <functional>
#include <utility>
#include <vector>

#include "hearth/likes/like_inbox.h"

namespace hearth::likes {

class InboxDrainer {
 public:
  // Makes changes in the live store, those of one post in their order.
  using Make = std::function<Task<std::vector<Result<LikeOutcome>>>(std::vector<LikeChange> changes)>;

  // `before_empty`: to be done before the last operations that wait are removed.
  InboxDrainer(LikeInbox& inbox, Make make, std::function<Result<void>()> before_empty = {})
      : inbox_(inbox), make_(std::move(make)), before_empty_(std::move(before_empty)) {}

  // Moves the oldest operations. True: there may be more.
  Result<bool> run_once();

 private:
  LikeInbox& inbox_;
  const Make make_;
  const std::function<Result<void>()> before_empty_;
};

}  // namespace hearth::likes
