#pragma once

// How often stories and chapters were viewed: the live state that requests read and change.
//
// Promises, checked on every implementation by view_store_conformance.h:
//  - A viewer counts once for an item within the window, which begins with the view that counted; exactly, whatever runs at
//    once.
//  - Telling viewers apart, the total, the hour's number and the mark that SQL lacks it change in one step.
//  - A total never goes down, and what an answer shows is as durable as the store promises.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/views/view.h"

namespace hearth::views {

class ViewStore {
 public:
  virtual ~ViewStore() = default;

  // kUnavailable: it may or may not have counted; asking again is safe, and then tells whether.
  virtual Task<Result<ViewOutcome>> view(View view) = 0;

  // In the order asked; 0 for what nobody viewed. REQUIRES: items.size() <= kItemsPerReadMax.
  virtual Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) = 0;

  // What this store knows of the item's hours from `since` on, oldest first, without hours of no views. The larger of this
  // and SQL's number of the same hour is the right one.
  virtual Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) = 0;

  // The stories with most views in the hours from `since` on, most first. Of each hour at least the thousand most viewed
  // stories are considered. REQUIRES: limit <= kTrendingMax; `since` is at most a day and an hour ago.
  virtual Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) = 0;
};

}  // namespace hearth::views
