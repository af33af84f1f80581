#include "hearth/views/ranking_cache.h"

#include <algorithm>
#include <string>
#include <utility>

namespace hearth::views {
namespace {

constexpr int kKept = 10;  // times as long as it took
constexpr std::size_t kRankingsMax = 32;

std::vector<ItemViews> first(const std::vector<ItemViews>& items, std::size_t limit) {
  return {items.begin(), items.begin() + static_cast<std::ptrdiff_t>(std::min(limit, items.size()))};
}

}  // namespace

Task<Result<std::vector<ItemViews>>> RankingCache::get(UtcHour since, std::size_t limit, Compute compute) {
  for (;;) {
    if (auto items = known(since, limit)) co_return *std::move(items);
    auto lead = co_await flights_.join(std::to_string(since.time_since_epoch().count()));
    if (!lead) continue;
    auto began = clock_.steady();
    auto items = co_await compute();
    if (!items) co_return items;
    keep(since, *items, clock_.steady() - began);
    co_return first(*items, limit);
  }
}

std::optional<std::vector<ItemViews>> RankingCache::known(UtcHour since, std::size_t limit) {
  return rankings_.with([&](Rankings& rankings) -> std::optional<std::vector<ItemViews>> {
    auto found = rankings.find(since.time_since_epoch().count());
    if (found == rankings.end() || found->second.until <= clock_.steady()) return std::nullopt;
    return first(found->second.items, limit);
  });
}

void RankingCache::keep(UtcHour since, const std::vector<ItemViews>& items, std::chrono::steady_clock::duration cost) {
  auto until = clock_.steady() + cost * kKept;
  rankings_.with([&](Rankings& rankings) {
    if (rankings.size() >= kRankingsMax) rankings.clear();
    rankings[since.time_since_epoch().count()] = {items, until};
  });
}

}  // namespace hearth::views
