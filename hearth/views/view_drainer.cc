#include "hearth/views/view_drainer.h"

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::views {
namespace {

constexpr std::size_t kViewsPerStep = 500;

}  // namespace

Result<bool> ViewDrainer::run_once() {
  auto waiting = inbox_.waiting(kViewsPerStep);
  if (!waiting) return std::unexpected(waiting.error());
  if (waiting->empty()) return false;
  std::vector<View> views;
  std::vector<std::uint64_t> ids;
  std::vector<std::uint64_t> moved;
  std::set<ViewedItem> counted_by_sql;
  for (auto& one : *waiting) {
    // Only another program can have written an id that Hearth does not take.
    if (!is_valid_id(one.view.item.id.view())) {
      log::warning("inbox", "a view names an id that cannot be one; it is dropped", {{"item", one.view.item.id.str()}});
      moved.push_back(one.id);
      continue;
    }
    if (!one.view.counts) counted_by_sql.insert(one.view.item);
    ids.push_back(one.id);
    views.push_back(std::move(one.view));
  }
  auto outcomes = run_to_end(live_.view_all(std::move(views)));
  std::optional<Error> failure;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (outcomes[i]) {
      moved.push_back(ids[i]);
    } else {
      failure = outcomes[i].error();
    }
  }
  // Before the rows go: they say that Redis has yet to hear of these numbers.
  if (!counted_by_sql.empty()) {
    auto reloaded = run_to_end(live_.reload({counted_by_sql.begin(), counted_by_sql.end()}));
    if (!reloaded) return std::unexpected(reloaded.error());
  }
  if (auto removed = inbox_.remove(moved); !removed) return std::unexpected(removed.error());
  if (failure) return std::unexpected(*failure);
  return waiting->size() == kViewsPerStep;
}

}  // namespace hearth::views
