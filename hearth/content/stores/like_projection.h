#pragma once

// Keeps posts.likes near the ledger's counts where the outbox is a journal, through a LikeProjector.
//
// The rule:
//  - It is a consumer of the outbox ("content") with its own cursor in content.db. It reads entries after its cursor and
//    not above the ledger's, takes from them only which posts changed, and asks the ledger for those posts' counts.
//    Since the ledger has applied those entries, what it answers is at least as new.
//  - Counts and cursor are written in one transaction, and a count only over an older version or none. So a crash repeats
//    a step without effect, and an old count never replaces a newer one.
//  - A new post starts without a version and is asked for like one that changed: a post may be liked before it is created.
//  - If the log no longer holds the entry at the cursor, or the ledger is behind it, something was lost or cut off: all
//    posts are asked for again, and the ledger's answer is taken whatever its version.
//
// run_once() runs on one thread at a time; cursor() on any.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/content/stores/like_projector.h"
#include "hearth/content/stores/outbox_cursor.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/outbox/journal.h"

namespace hearth::content {

inline constexpr std::size_t kProjectedBytesPerStep = 16u << 20;  // of the outbox

// What the ledger is asked. Called on the thread of run_once(), and may block.
struct LedgerCounts {
  // Up to which entry the ledger has applied the outbox, durably.
  std::function<Result<outbox::Sequence>()> cursor;
  ReadCounts counts;
};

class LikeProjection {
 public:
  LikeProjection(sqlite::Database& database, outbox::Journal& journal, LedgerCounts ledger);

  // Takes one step, of about kProjectedPostsPerStep posts (an entry is taken whole), and says how much it took on: entries
  // passed and posts asked for. 0: nothing is waiting.
  Result<std::size_t> run_once();

  // The last entry that it needs no more: the outbox may be trimmed up to the least of all consumers.
  Result<outbox::Sequence> cursor();

 private:
  struct Step;
  Result<Step> next_step();
  Result<bool> add_changed_posts(Step& step, outbox::Sequence ledger);
  Result<std::size_t> start_over(OutboxCursor from, outbox::Sequence ledger);

  sqlite::Database& database_;
  outbox::Journal& journal_;
  const std::function<Result<outbox::Sequence>()> ledger_cursor_;
  LikeProjector projector_;
};

}  // namespace hearth::content
