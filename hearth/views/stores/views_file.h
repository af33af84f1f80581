#pragma once

// views.db: totals, hours and who was seen, as far as the view flusher has read the journal.
//
// apply() writes a batch and the cursor behind it in one transaction, so that a crash repeats nothing.
//
// Thread-safe.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/outbox/event.h"
#include "hearth/outbox/journal.h"
#include "hearth/views/buffered_views.h"
#include "hearth/views/stores/seen_table.h"
#include "hearth/views/view.h"

namespace hearth::views {

// An item's numbers.
struct ItemNumbers {
  std::uint64_t views = 0;
  std::uint64_t buffered = 0;  // of them not yet in SQL
  std::uint64_t direct = 0;    // of them counted by SQL itself
  std::optional<UtcMicros> synced_at = {};
};

struct ViewCursor {
  outbox::Sequence sequence = 0;
  std::uint64_t checksum = 0;  // of the entry there
};

struct ViewBatch {
  std::vector<outbox::Viewed> events;  // in order; their texts outlive the batch
  ViewCursor cursor;                   // after them
  std::chrono::milliseconds window{};  // of generations
  UtcMicros now{};                     // generations that are too old at it leave
};

struct AppliedViews {
  std::size_t items = 0;
  std::size_t viewers = 0;
};

class ViewsFile {
 public:
  static Result<std::unique_ptr<ViewsFile>> open(const std::filesystem::path& path, const std::string& vfs = {});

  // For the flusher and the start; these block.
  Result<ViewCursor> cursor();
  Result<AppliedViews> apply(ViewBatch batch);
  // Each viewer that was seen from `since` on, and some before.
  Result<void> each_seen(UtcMillis since, FunctionRef<void(std::uint64_t hash, UtcMillis at)> use);
  Result<std::uint64_t> count_seen(UtcMillis from, UtcMillis until);
  // Drops hours older than kHoursKept that SQL has, some thousand at a time. True: there is more.
  Result<bool> prune(UtcMicros now);

  // In the order asked; nothing for items that were never viewed.
  Task<Result<std::vector<std::optional<ItemNumbers>>>> find(std::vector<ViewedItem> items);
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since);
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit);
  // The items that were marked longest ago, none after `until`, with the hours of which SQL may lack views.
  Task<Result<std::vector<CountedItem>>> buffered(UtcMicros until, std::size_t limit);
  Task<Result<BufferedStats>> stats();
  // SQL has these items' hours.
  Task<Result<void>> hours_are_in_sql(std::vector<CountedItem> items);

  // Finishes what was asked. Safe twice.
  void stop() { database_->stop(); }

 private:
  explicit ViewsFile(std::unique_ptr<sqlite::Database> database) : database_(std::move(database)) {}
  std::unique_ptr<sqlite::Database> database_;
};

}  // namespace hearth::views
