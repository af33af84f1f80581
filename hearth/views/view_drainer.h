#pragma once

// Brings what is in the inbox into Redis: views that came while Redis was away, and who was counted by SQL while views did not
// use Redis. Each with the time at which it happened; Redis decides whether its viewer was counted before.
//
// Several nodes may drain at once, and one may be stopped at any point: a view that Redis has is a viewer that was seen, and
// counts once. Order does not matter.
//
// Blocks; one thread at a time.

#include "hearth/views/stores/redis/redis_view_store.h"
#include "hearth/views/view_inbox.h"

namespace hearth::views {

class ViewDrainer {
 public:
  // Both outlive it.
  ViewDrainer(ViewInbox& inbox, RedisViewStore& live) : inbox_(inbox), live_(live) {}

  // Moves the oldest. True: there may be more. kUnavailable: one of the two is away; what was moved stays moved.
  Result<bool> run_once();

 private:
  ViewInbox& inbox_;
  RedisViewStore& live_;
};

}  // namespace hearth::views
