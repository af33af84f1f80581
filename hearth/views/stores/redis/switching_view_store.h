#pragma once

// Views from Redis, or from SQL while Redis is away, as the caller's `place` says for each call. A view that Redis may have
// got is never tried in SQL as well.

#include <functional>
#include <utility>

#include "hearth/base/result.h"
#include "hearth/views/view_store.h"

namespace hearth::views {

class SwitchingViewStore final : public ViewStore {
 public:
  enum class Store : std::uint8_t { kLive, kSql };
  // Where views are served from now, or why from nowhere. Any thread; does not block.
  using Place = std::function<Result<Store>()>;

  // Both outlive it.
  SwitchingViewStore(ViewStore& live, ViewStore& sql, Place place) : live_(live), sql_(sql), place_(std::move(place)) {}

  Task<Result<ViewOutcome>> view(View view) override;
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) override;
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override;
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) override;

 private:
  Result<ViewStore*> serving();

  ViewStore& live_;
  ViewStore& sql_;
  const Place place_;
};

}  // namespace hearth::views
