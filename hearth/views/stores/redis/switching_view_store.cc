#include "hearth/views/stores/redis/switching_view_store.h"

namespace hearth::views {

Result<ViewStore*> SwitchingViewStore::serving() {
  auto place = place_();
  if (!place) return std::unexpected(place.error());
  return *place == Store::kLive ? &live_ : &sql_;
}

Task<Result<ViewOutcome>> SwitchingViewStore::view(View view) {
  auto store = serving();
  if (!store) co_return std::unexpected(store.error());
  co_return co_await (*store)->view(std::move(view));
}

Task<Result<std::vector<ViewTotal>>> SwitchingViewStore::totals(std::vector<ViewedItem> items) {
  auto store = serving();
  if (!store) co_return std::unexpected(store.error());
  co_return co_await (*store)->totals(std::move(items));
}

Task<Result<std::vector<HourViews>>> SwitchingViewStore::hours(ViewedItem item, UtcHour since) {
  auto store = serving();
  if (!store) co_return std::unexpected(store.error());
  co_return co_await (*store)->hours(std::move(item), since);
}

Task<Result<std::vector<ItemViews>>> SwitchingViewStore::trending(UtcHour since, std::size_t limit) {
  auto store = serving();
  if (!store) co_return std::unexpected(store.error());
  co_return co_await (*store)->trending(since, limit);
}

}  // namespace hearth::views
