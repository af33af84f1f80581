#pragma once

// What an app does with views.
//
// Thread-safe. Arguments are taken by value: a coroutine outlives its caller's references.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/views/view.h"
#include "hearth/views/view_ledger.h"
#include "hearth/views/view_store.h"
#include "hearth/views/viewer_keys.h"

namespace hearth::views {

// Who looks: a user, or else whoever comes from this address with this user agent.
struct Visitor {
  std::optional<std::string> user = {};
  std::string address = {};
  std::string user_agent = {};
};

enum class SeriesStep : std::uint8_t { kHour, kDay };

// The story of a chapter, if it is known. Given when chapters count for their story.
using StoryOf = std::function<Task<Result<std::optional<ViewedId>>>(ViewedId chapter)>;

class ViewService {
 public:
  ViewService(ViewStore& store, ViewLedger& ledger, const ViewerKeys& keys, const Clock& clock, StoryOf story_of)
      : store_(store), ledger_(ledger), keys_(keys), clock_(clock), story_of_(std::move(story_of)) {}

  // `counts` false: the visitor is remembered and nothing is counted.
  Task<Result<ViewOutcome>> view(ViewedItem item, Visitor visitor, bool counts);
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) { return store_.totals(std::move(items)); }
  // Oldest first, without hours or days of no views: of the last kHoursKept or kDaysKept.
  Task<Result<std::vector<HourViews>>> series(ViewedItem item, SeriesStep step);
  // The stories with most views in the current hour and the `hours` before it.
  Task<Result<std::vector<ItemViews>>> trending(std::chrono::hours hours, std::size_t limit);

 private:
  Task<Result<void>> count_for_story(ViewedId chapter, View seen);

  ViewStore& store_;
  ViewLedger& ledger_;
  const ViewerKeys& keys_;
  const Clock& clock_;
  const StoryOf story_of_;
};

}  // namespace hearth::views
