#pragma once

// Brings what is in the inbox into the live store, through the store's own way of changing: operations are absolute states,
// so one that is made twice, after a crash between the two steps, changes nothing. Blocks; one thread at a time.

#include "hearth/likes/like_inbox.h"

namespace hearth::likes {

class InboxDrainer {
 public:
  InboxDrainer(LikeInbox& inbox, LikeStore& store) : inbox_(inbox), store_(store) {}

  // Moves the oldest operations. True: there may be more.
  Result<bool> run_once();

 private:
  LikeInbox& inbox_;
  LikeStore& store_;
};

}  // namespace hearth::likes
