#pragma once

// What a live store has counted and SQL lacks; view_sync.h brings it there.
//
// Numbers are absolute, so that writing them twice changes nothing. An item is marked from the first view that SQL lacks;
// settle() takes the mark away only if nothing was counted since the numbers were read.
//
// Thread-safe.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/views/view.h"
#include "hearth/views/view_ledger.h"

namespace hearth::views {

struct BufferedStats {
  std::uint64_t stories = 0;
  std::uint64_t chapters = 0;
  std::uint64_t views = 0;
};

class BufferedViews {
 public:
  virtual ~BufferedViews() = default;

  // The items that were marked longest ago, at most `limit` and none that was marked after `until`: so that taking them in
  // rounds ends, however many views come meanwhile. Empty: there are no more.
  virtual Task<Result<std::vector<CountedItem>>> buffered(UtcMicros until, std::size_t limit) = 0;
  // SQL has them: `written` is what ViewLedger::write() answered for `items`, in the same order.
  virtual Task<Result<void>> settle(std::vector<CountedItem> items, std::vector<WrittenItem> written, UtcMicros at) = 0;
  virtual Task<Result<BufferedStats>> stats() = 0;
};

}  // namespace hearth::views
