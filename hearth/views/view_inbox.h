#pragma once

// Views in SQL alone: while the live store is away, or where it is switched off.
//
// Each view is a row of view_inbox (kind, item, viewer under both keys, time), which tells viewers apart. While the live store
// is away the rows wait until they are drained through it, which knows who was counted before; so a total is then that of SQL
// and the rows that wait. Where it is switched off the view is counted in view_counts, read_count, hours and days in the same
// transaction, and the row stays as long as the window lasts.
//
// Checked as a ViewStore by view_store_conformance.h in both modes. Thread-safe.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hearth/views/view_store.h"

namespace hearth::views {

enum class InboxMode : std::uint8_t {
  kWaiting,  // rows wait for the live store
  kDirect,   // views are counted in SQL at once
};

struct WaitingView {
  std::uint64_t id = 0;  // grows
  View view;             // `at` is set; counts is false where it only has to be remembered: SQL counted it itself
};

class ViewInbox : public ViewStore {
 public:
  // Draining; these block. The oldest rows, of both modes, in order.
  virtual Result<std::vector<WaitingView>> waiting(std::size_t limit) = 0;
  // The live store has them. Not an error for ones that are gone.
  virtual Result<void> remove(const std::vector<std::uint64_t>& ids) = 0;
  // kDirect: drops rows older than the window, some thousand at a time. True: there is more.
  virtual Result<bool> prune(UtcMicros now) = 0;
};

}  // namespace hearth::views
