#pragma once

// What every ViewStore and BufferedViews promises (view_store.h, buffered_views.h), as tests: view_store_conformance_test.cc.
//
//   INSTANTIATE_TEST_SUITE_P(Memory, ViewStoreConformance, testing::Values(ViewStoreMaker{"memory", make_…}), name_of_maker);
//   INSTANTIATE_TEST_SUITE_P(Memory, ViewWindowConformance, …);     where the store takes a clock
//   INSTANTIATE_TEST_SUITE_P(Memory, BufferedViewsConformance, …);  where a sync brings its views to SQL
//
// Stores are made with a window of kWindow.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/outbox/test_loops.h"
#include "hearth/views/buffered_views.h"
#include "hearth/views/view_ledger.h"
#include "hearth/views/view_store.h"

namespace hearth::views {

inline constexpr std::chrono::hours kWindow{24};

// A store and what it stands on.
class ViewStoreUnderTest {
 public:
  virtual ~ViewStoreUnderTest() = default;
  virtual ViewStore& store() = 0;
  virtual ViewLedger& ledger() = 0;  // SQL behind it
  // What a sync brings to SQL; null where views are in SQL at once.
  virtual BufferedViews* buffered() { return nullptr; }
  // The store's clock; null where it has its own time.
  virtual SimulatedClock* clock() { return nullptr; }
  // Stops the process and starts it again on the same data. Nothing where there is no process to stop.
  virtual void restart() {}
};

struct ViewStoreMaker {
  std::string name;
  std::function<std::unique_ptr<ViewStoreUnderTest>()> make;  // fresh and empty
};

inline std::string name_of_maker(const testing::TestParamInfo<ViewStoreMaker>& info) {
  return info.param.name;
}
inline void PrintTo(const ViewStoreMaker& maker, std::ostream* out) {
  *out << maker.name;
}

inline ViewedItem story(std::string id) {
  return {ViewedKind::kStory, ViewedId::trusted(std::move(id))};
}
inline ViewedItem chapter(std::string id) {
  return {ViewedKind::kChapter, ViewedId::trusted(std::move(id))};
}

class ViewStoreConformance : public testing::TestWithParam<ViewStoreMaker> {
 protected:
  ViewStore& store() { return under_test->store(); }
  ViewLedger& ledger() { return under_test->ledger(); }
  UtcMicros now() { return under_test->clock() ? under_test->clock()->now() : SystemClock().now(); }
  // Waits until some milliseconds later.
  void pass_time();

  ViewOutcome view(View wanted) { return outbox::must(outbox::run(store().view(std::move(wanted)))); }
  ViewOutcome view(ViewedItem item, Viewer viewer) { return view({.item = std::move(item), .viewer = viewer}); }
  bool is_first(ViewedItem item, Viewer viewer) { return view(std::move(item), viewer).is_first; }
  ViewTotal total(ViewedItem item) { return outbox::must(outbox::run(store().totals({std::move(item)}))).front(); }
  // Of the store and of SQL, the larger number of each hour.
  std::vector<HourViews> hours(ViewedItem item, UtcHour since);

  outbox::Loops loops{4};  // outlives the store that wakes it
  std::unique_ptr<ViewStoreUnderTest> under_test = GetParam().make();
};

// Of stores that take a clock.
class ViewWindowConformance : public ViewStoreConformance {
 protected:
  void advance(std::chrono::microseconds by) { under_test->clock()->advance(by); }
};

// Of stores whose views a sync brings to SQL.
class BufferedViewsConformance : public ViewStoreConformance {
 protected:
  BufferedViews& buffered_views() { return *under_test->buffered(); }
  std::vector<CountedItem> buffered(std::size_t limit = kItemsPerWriteMax) {
    return outbox::must(outbox::run(buffered_views().buffered(now(), limit)));
  }
  BufferedStats stats() { return outbox::must(outbox::run(buffered_views().stats())); }
  // What a sync does with what buffered() gave.
  std::vector<WrittenItem> write(const std::vector<CountedItem>& items) { return outbox::must(outbox::run(ledger().write(items, now()))); }
  void settle(std::vector<CountedItem> items, std::vector<WrittenItem> written) {
    outbox::must(outbox::run(buffered_views().settle(std::move(items), std::move(written), now())));
  }
  void write_and_settle() {
    auto items = buffered();
    auto written = write(items);
    settle(std::move(items), std::move(written));
  }
  std::uint64_t in_sql(ViewedItem item) { return outbox::must(outbox::run(ledger().totals({std::move(item)}))).front().views; }
};

}  // namespace hearth::views
