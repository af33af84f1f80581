#include "hearth/views/view_service.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hearth::views {
namespace {

using Numbers = std::map<UtcHour, std::uint64_t>;

void raise(Numbers& numbers, UtcHour hour, std::uint64_t views) {
  auto& number = numbers[hour];
  number = std::max(number, views);
}

std::vector<HourViews> listed(const Numbers& numbers) {
  std::vector<HourViews> list;
  list.reserve(numbers.size());
  for (const auto& [hour, views] : numbers) list.push_back({hour, views});
  return list;
}

Numbers by_day(const Numbers& hours) {
  Numbers days;
  for (const auto& [hour, views] : hours) days[std::chrono::floor<std::chrono::days>(hour)] += views;
  return days;
}

}  // namespace

Task<Result<ViewOutcome>> ViewService::view(ViewedItem item, Visitor visitor, bool counts) {
  View view{.item = std::move(item), .counts = counts};
  if (visitor.user) {
    view.viewer = keys_.user(*visitor.user);
  } else {
    auto hash = keys_.anonymous(visitor.address, visitor.user_agent);
    view.viewer = hash.viewer;
    view.previous = hash.previous;
  }
  // The story first: if this ends between the two, the visitor's next try counts the chapter and finds the story counted.
  if (story_of_ && view.item.kind == ViewedKind::kChapter) {
    if (auto counted = co_await count_for_story(view.item.id, view); !counted) co_return std::unexpected(counted.error());
  }
  co_return co_await store_.view(std::move(view));
}

Task<Result<void>> ViewService::count_for_story(ViewedId chapter, View seen) {
  auto story = co_await story_of_(std::move(chapter));
  if (!story) co_return std::unexpected(story.error());
  if (!*story) co_return Result<void>{};
  seen.item = ViewedItem{ViewedKind::kStory, **story};
  auto counted = co_await store_.view(std::move(seen));
  if (!counted) co_return std::unexpected(counted.error());
  co_return Result<void>{};
}

// SQL has the numbers as of the last sync, the live store the newer ones of some hours.
Task<Result<std::vector<HourViews>>> ViewService::series(ViewedItem item, SeriesStep step) {
  auto now = clock_.now();
  auto hours_since = hour_of(now - kHoursKept);
  auto hours = co_await ledger_.hours(item, hours_since);
  if (!hours) co_return std::unexpected(hours.error());
  auto live = co_await store_.hours(item, hours_since);
  if (!live) co_return std::unexpected(live.error());
  Numbers numbers;
  for (const auto* part : {&*hours, &*live}) {
    for (const auto& [hour, views] : *part) raise(numbers, hour, views);
  }
  if (step == SeriesStep::kHour) co_return listed(numbers);

  auto days = co_await ledger_.days(std::move(item), std::chrono::floor<std::chrono::days>(now) - kDaysKept);
  if (!days) co_return std::unexpected(days.error());
  numbers = by_day(numbers);
  for (const auto& [day, views] : *days) raise(numbers, day, views);
  co_return listed(numbers);
}

Task<Result<std::vector<ItemViews>>> ViewService::trending(std::chrono::hours hours, std::size_t limit) {
  return store_.trending(hour_of(clock_.now()) - hours, limit);
}

}  // namespace hearth::views
