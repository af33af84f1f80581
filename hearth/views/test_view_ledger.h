#pragma once

// For tests: SQL's side of views, in memory, that can be told to be away.

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "hearth/base/guarded.h"
#include "hearth/views/view_ledger.h"

namespace hearth::views {

class TestViewLedger final : public ViewLedger {
 public:
  Task<Result<std::vector<SqlTotal>>> totals(std::vector<ViewedItem> items) override {
    ++reads;
    if (auto hook = on_read) hook();
    if (is_away) co_return fail(ErrorCode::kUnavailable, "SQL is away");
    co_return rows_.with([&](Rows& rows) {
      std::vector<SqlTotal> totals;
      for (const auto& item : items) {
        auto found = rows.find(item);
        totals.push_back(found == rows.end() ? SqlTotal{} : found->second.total);
      }
      return totals;
    });
  }

  Task<Result<std::vector<WrittenItem>>> write(std::vector<CountedItem> items, UtcMicros at) override {
    if (is_away) co_return fail(ErrorCode::kUnavailable, "SQL is away");
    co_return rows_.with([&](Rows& rows) {
      std::vector<WrittenItem> written;
      for (const auto& item : items) {
        Row& row = rows[item.item];
        auto views = std::max(row.total.views, item.views + row.total.direct - item.direct);
        written.push_back({.views = views, .direct = row.total.direct, .added = views - row.total.views});
        row.total.views = views;
        row.total.synced_at = at;
        for (const auto& hour : item.hours) row.hours[hour.hour] = std::max(row.hours[hour.hour], hour.views);
      }
      return written;
    });
  }

  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override {
    co_return rows_.with([&](Rows& rows) {
      std::vector<HourViews> hours;
      for (const auto& [hour, views] : rows[item].hours) {
        if (hour >= since) hours.push_back({hour, views});
      }
      return hours;
    });
  }
  Task<Result<std::vector<HourViews>>> days(ViewedItem, UtcHour) override { co_return std::vector<HourViews>{}; }
  Task<Result<bool>> prune(UtcMicros) override { co_return false; }

  // Another program counted, or SQL did while the live store was switched off.
  void add(const ViewedItem& item, std::uint64_t views, bool is_direct) {
    rows_.with([&](Rows& rows) {
      rows[item].total.views += views;
      if (is_direct) rows[item].total.direct += views;
    });
  }

  // SQL came back without it.
  void forget(const ViewedItem& item) {
    rows_.with([&](Rows& rows) { rows.erase(item); });
  }

  std::atomic<bool> is_away{false};
  std::atomic<int> reads{0};                // calls of totals()
  std::function<void()> on_read = nullptr;  // by each, if there is one

 private:
  struct Row {
    SqlTotal total;
    std::map<UtcHour, std::uint64_t> hours;
  };
  using Rows = std::map<ViewedItem, Row>;
  Guarded<Rows> rows_;
};

}  // namespace hearth::views
