#include "hearth/views/view_store_conformance.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "hearth/views/view_sync.h"

namespace hearth::views {

using namespace std::chrono_literals;
using outbox::must;
using outbox::run;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ViewStoreConformance);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ViewWindowConformance);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BufferedViewsConformance);

void ViewStoreConformance::pass_time() {
  if (under_test->clock()) {
    under_test->clock()->advance(5ms);
    return;
  }
  for (auto until = now() + 5ms; now() < until;) std::this_thread::yield();
}

std::vector<HourViews> ViewStoreConformance::hours(ViewedItem item, UtcHour since) {
  std::map<UtcHour, std::uint64_t> merged;
  for (const auto& hour : must(run(ledger().hours(item, since)))) merged[hour.hour] = hour.views;
  for (const auto& hour : must(run(store().hours(item, since)))) merged[hour.hour] = std::max(merged[hour.hour], hour.views);
  std::vector<HourViews> hours;
  for (const auto& [hour, views] : merged) hours.push_back({hour, views});
  return hours;
}

namespace {

std::uint64_t fresh_seed() {
  return std::random_device{}();
}

// What a store must answer: every view that counted or was remembered, and a search through all of them.
class Model {
 public:
  ViewOutcome view(const View& view, UtcMicros now) {
    auto at = std::chrono::floor<std::chrono::milliseconds>(view.at.value_or(now));
    Item& item = items_[view.item];
    bool is_seen = is_known(item, view.viewer, at) || (view.previous && is_known(item, *view.previous, at));
    if (!is_seen) {
      item.known[view.viewer].push_back(at);
      if (view.counts) {
        ++item.views;
        ++item.hours[std::chrono::floor<std::chrono::hours>(at)];
      }
    }
    return {.is_first = !is_seen, .views = item.views};
  }
  std::uint64_t views(const ViewedItem& item) const {
    auto found = items_.find(item);
    return found == items_.end() ? 0 : found->second.views;
  }
  const std::map<UtcHour, std::uint64_t>& hours(const ViewedItem& item) { return items_[item].hours; }

 private:
  using Millis = std::chrono::sys_time<std::chrono::milliseconds>;
  struct Item {
    std::map<Viewer, std::vector<Millis>> known;
    std::map<UtcHour, std::uint64_t> hours;
    std::uint64_t views = 0;
  };
  static bool is_known(const Item& item, Viewer viewer, Millis at) {
    auto found = item.known.find(viewer);
    if (found == item.known.end()) return false;
    return std::ranges::any_of(found->second, [&](Millis known) { return known - at < kWindow && at - known < kWindow; });
  }
  std::map<ViewedItem, Item> items_;
};

View random_view(std::mt19937_64& random) {
  View view{.item = random() % 2 == 0 ? story("item" + std::to_string(random() % 3)) : chapter("item" + std::to_string(random() % 3)),
            .viewer = random() % 12 + 1,
            .counts = random() % 8 != 0};
  if (random() % 4 == 0) view.previous = random() % 12 + 1;
  return view;
}

Task<void> view_each(ViewStore& store, ViewedItem item, std::vector<Viewer> viewers, std::vector<ViewOutcome>& outcomes) {
  for (Viewer viewer : viewers) {
    auto outcome = co_await store.view({.item = item, .viewer = viewer});
    if (!outcome) {
      ADD_FAILURE() << outcome.error().message;
      continue;
    }
    outcomes.push_back(*outcome);
  }
}

}  // namespace

// --- counting ---

TEST_P(ViewStoreConformance, WhatNobodyViewedHasNone) {
  auto unknown = total(story("s"));
  EXPECT_EQ(unknown.views, 0u);
  EXPECT_EQ(unknown.buffered, 0u);
  EXPECT_FALSE(unknown.synced_at);
  EXPECT_TRUE(hours(story("s"), hour_of(now()) - 5h).empty());
  EXPECT_TRUE(must(run(store().trending(hour_of(now()) - 1h, 10))).empty());
  EXPECT_TRUE(must(run(store().totals({}))).empty());
}

TEST_P(ViewStoreConformance, AViewerCountsOnce) {
  auto first = view(story("s"), 1);
  EXPECT_TRUE(first.is_first);
  EXPECT_EQ(first.views, 1u);
  auto again = view(story("s"), 1);
  EXPECT_FALSE(again.is_first);
  EXPECT_EQ(again.views, 1u);
  auto other = view(story("s"), 2);
  EXPECT_TRUE(other.is_first);
  EXPECT_EQ(other.views, 2u);
  EXPECT_EQ(total(story("s")).views, 2u);
}

TEST_P(ViewStoreConformance, ItemsAndKindsAreApart) {
  EXPECT_TRUE(is_first(story("a"), 1));
  EXPECT_TRUE(is_first(chapter("a"), 1));
  EXPECT_TRUE(is_first(story("b"), 1));
  EXPECT_TRUE(is_first(story("b"), 2));
  auto totals = must(run(store().totals({story("b"), chapter("a"), story("a"), chapter("b")})));
  ASSERT_EQ(totals.size(), 4u);
  EXPECT_EQ(totals[0].views, 2u);
  EXPECT_EQ(totals[1].views, 1u);
  EXPECT_EQ(totals[2].views, 1u);
  EXPECT_EQ(totals[3].views, 0u);
}

TEST_P(ViewStoreConformance, EveryIdAndEveryViewerIsTaken) {
  for (const std::string& id : {std::string("a:b%c"), std::string(128, 'x'), std::string("'*?[]~"), std::string("0")}) {
    for (Viewer viewer : {Viewer{0}, Viewer{1}, ~Viewer{0}, Viewer{1} << 63}) {
      EXPECT_TRUE(is_first(chapter(id), viewer)) << id << " " << viewer;
      EXPECT_FALSE(is_first(chapter(id), viewer)) << id << " " << viewer;
    }
    EXPECT_EQ(total(chapter(id)).views, 4u);
  }
}

TEST_P(ViewStoreConformance, AViewerIsKnownUnderThePreviousKey) {
  EXPECT_TRUE(is_first(story("s"), 1));
  EXPECT_FALSE(view({.item = story("s"), .viewer = 2, .previous = 1}).is_first);
  EXPECT_TRUE(view({.item = story("s"), .viewer = 3, .previous = 4}).is_first);
  EXPECT_FALSE(view({.item = story("s"), .viewer = 3, .previous = 5}).is_first);
  EXPECT_FALSE(is_first(story("s"), 3));
  EXPECT_TRUE(view({.item = story("t"), .viewer = 2, .previous = 1}).is_first);
  EXPECT_EQ(total(story("s")).views, 2u);
}

TEST_P(ViewStoreConformance, AViewThatDoesNotCountIsRemembered) {
  auto remembered = view({.item = story("s"), .viewer = 1, .counts = false});
  EXPECT_TRUE(remembered.is_first);
  EXPECT_EQ(remembered.views, 0u);
  EXPECT_FALSE(view({.item = story("s"), .viewer = 1, .counts = false}).is_first);
  auto counting = view(story("s"), 1);
  EXPECT_FALSE(counting.is_first);
  EXPECT_EQ(counting.views, 0u);
  EXPECT_EQ(view(story("s"), 2).views, 1u);
  EXPECT_FALSE(view({.item = story("s"), .viewer = 2, .counts = false}).is_first);
  EXPECT_EQ(total(story("s")).views, 1u);
}

TEST_P(ViewStoreConformance, AThousandItemsAreReadInTheOrderAsked) {
  std::vector<ViewedItem> items;
  for (std::size_t i = 0; i < kItemsPerReadMax; ++i) items.push_back(story("item" + std::to_string(i * 7 % kItemsPerReadMax)));
  view(story("item7"), 1);
  view(story("item7"), 2);
  view(story("item993"), 1);
  auto totals = must(run(store().totals(items)));
  ASSERT_EQ(totals.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(totals[i].views, items[i] == story("item7") ? 2u : items[i] == story("item993") ? 1u : 0u) << i;
  }
  auto twice = must(run(store().totals({story("item7"), story("item7")})));
  EXPECT_EQ(twice.at(0).views, 2u);
  EXPECT_EQ(twice.at(1).views, 2u);
}

// --- views that come late ---

TEST_P(ViewStoreConformance, OfTwoViewsInOneWindowOneCountsInWhateverOrderTheyCome) {
  auto at = now() - 2h;
  EXPECT_TRUE(view({.item = story("s"), .viewer = 1, .at = at}).is_first);
  EXPECT_FALSE(is_first(story("s"), 1));
  EXPECT_TRUE(is_first(story("s"), 2));
  EXPECT_FALSE(view({.item = story("s"), .viewer = 2, .at = at}).is_first);
  EXPECT_FALSE(view({.item = story("s"), .viewer = 3, .previous = 2, .at = at}).is_first);
  EXPECT_FALSE(view({.item = story("s"), .viewer = 1, .at = at}).is_first);
  EXPECT_EQ(total(story("s")).views, 2u);
}

TEST_P(ViewStoreConformance, LateViewsAreOfTheHourInWhichTheyWere) {
  auto hour = hour_of(now());
  for (Viewer viewer = 1; viewer <= 5; ++viewer) view({.item = story("s"), .viewer = viewer, .at = hour - 3h + 1min});
  for (Viewer viewer = 6; viewer <= 7; ++viewer) view({.item = story("s"), .viewer = viewer, .at = hour - 1h});
  view({.item = story("s"), .viewer = 8, .at = hour - 1us});
  view({.item = story("s"), .viewer = 9, .counts = false, .at = hour - 2h});
  view({.item = story("s"), .viewer = 1, .at = hour - 2h});
  view({.item = chapter("s"), .viewer = 1, .at = hour - 2h});

  auto all = hours(story("s"), hour - 5h);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].hour, hour - 3h);
  EXPECT_EQ(all[0].views, 5u);
  EXPECT_EQ(all[1].hour, hour - 1h);
  EXPECT_EQ(all[1].views, 3u);
  EXPECT_EQ(hours(story("s"), hour - 3h).size(), 2u);
  EXPECT_EQ(hours(story("s"), hour - 2h).size(), 1u);
  EXPECT_EQ(hours(story("s"), hour).size(), 0u);
  EXPECT_EQ(hours(chapter("s"), hour - 5h).size(), 1u);
}

TEST_P(ViewStoreConformance, ViewsOfOneDayAreAsTheModelSays) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Model model;
  auto latest = now();
  for (int i = 0; i < 400; ++i) {
    View wanted = random_view(random);
    wanted.at = latest - std::chrono::milliseconds(random() % std::chrono::milliseconds(5h).count());
    auto expected = model.view(wanted, latest);
    auto found = view(wanted);
    ASSERT_EQ(found.is_first, expected.is_first) << i;
    ASSERT_EQ(found.views, expected.views) << i;
  }
  for (int i = 0; i < 3; ++i) {
    for (const auto& item : {story("item" + std::to_string(i)), chapter("item" + std::to_string(i))}) {
      EXPECT_EQ(total(item).views, model.views(item));
      auto found = hours(item, hour_of(latest) - 10h);
      ASSERT_EQ(found.size(), model.hours(item).size());
      auto expected = model.hours(item).begin();
      for (const auto& hour : found) {
        EXPECT_EQ(hour.hour, expected->first);
        EXPECT_EQ(hour.views, expected->second);
        ++expected;
      }
    }
  }
}

// --- trending ---

TEST_P(ViewStoreConformance, TrendingStoriesComeWithMostViewsFirst) {
  auto hour = hour_of(now());
  Viewer viewer = 1;
  auto view_times = [&](const ViewedItem& item, int times, UtcMicros at) {
    for (int i = 0; i < times; ++i) view({.item = item, .viewer = viewer++, .at = at});
  };
  view_times(story("old"), 9, hour - 5h);
  view_times(story("both"), 2, hour - 2h);
  view_times(story("both"), 3, hour - 1h);
  view_times(story("new"), 4, hour - 1h);
  view_times(story("one"), 1, hour - 2h + 30min);
  view_times(chapter("chapter"), 7, hour - 1h);

  auto found = must(run(store().trending(hour - 2h, 10)));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].id.view(), "both");
  EXPECT_EQ(found[0].views, 5u);
  EXPECT_EQ(found[1].id.view(), "new");
  EXPECT_EQ(found[1].views, 4u);
  EXPECT_EQ(found[2].id.view(), "one");
  EXPECT_EQ(found[2].views, 1u);
  auto best = must(run(store().trending(hour - 6h, 1)));
  ASSERT_EQ(best.size(), 1u);
  EXPECT_EQ(best[0].id.view(), "old");
  auto last_hour = must(run(store().trending(hour - 1h, 10)));
  ASSERT_EQ(last_hour.size(), 2u);
  EXPECT_EQ(last_hour[0].id.view(), "new");
}

// --- many at once ---

TEST_P(ViewStoreConformance, SixtyFourViewersAtOnceAreCountedOnceEach) {
  constexpr int kViewers = 64;
  std::vector<std::vector<ViewOutcome>> outcomes(kViewers);
  for (int i = 0; i < kViewers; ++i) {
    loops.spawn(i, view_each(store(), story("s"), {Viewer(i), Viewer(i), Viewer((i + 1) % kViewers)}, outcomes[i]));
  }
  loops.run();
  std::uint64_t firsts = 0;
  for (const auto& own : outcomes) {
    std::uint64_t last = 1;
    for (const auto& outcome : own) {
      firsts += outcome.is_first ? 1 : 0;
      EXPECT_GE(outcome.views, last);
      EXPECT_LE(outcome.views, static_cast<std::uint64_t>(kViewers));
      last = outcome.views;
    }
  }
  EXPECT_EQ(firsts, static_cast<std::uint64_t>(kViewers));
  EXPECT_EQ(total(story("s")).views, static_cast<std::uint64_t>(kViewers));
}

TEST_P(ViewStoreConformance, OneViewerSixtyFourTimesAtOnceIsCountedOnce) {
  constexpr int kCalls = 64;
  std::vector<std::vector<ViewOutcome>> outcomes(kCalls);
  for (int i = 0; i < kCalls; ++i) loops.spawn(i, view_each(store(), story("s"), {7}, outcomes[i]));
  loops.run();
  std::uint64_t firsts = 0;
  for (const auto& own : outcomes) {
    ASSERT_EQ(own.size(), 1u);
    firsts += own[0].is_first ? 1 : 0;
    EXPECT_EQ(own[0].views, 1u);
  }
  EXPECT_EQ(firsts, 1u);
  EXPECT_EQ(total(story("s")).views, 1u);
}

TEST_P(ViewStoreConformance, ARestartForgetsNothing) {
  view(story("s"), 1);
  view(story("s"), 2);
  view({.item = chapter("c"), .viewer = 1, .counts = false});
  under_test->restart();
  EXPECT_EQ(total(story("s")).views, 2u);
  EXPECT_FALSE(is_first(story("s"), 1));
  EXPECT_FALSE(is_first(chapter("c"), 1));
  EXPECT_TRUE(is_first(story("s"), 3));
  under_test->restart();
  EXPECT_EQ(total(story("s")).views, 3u);
  EXPECT_FALSE(is_first(story("s"), 3));
}

// --- the window ---

TEST_P(ViewWindowConformance, AViewerCountsAgainExactlyAWindowLater) {
  // Wherever the window begins among the store's slices of time.
  for (auto shift : {0ms, 1ms, 1000ms, 3'600'000ms, 7'777'777ms}) {
    auto item = story("s" + std::to_string(shift.count()));
    advance(std::chrono::ceil<std::chrono::hours>(now().time_since_epoch()) - now().time_since_epoch());
    advance((kWindow - now().time_since_epoch() % kWindow) % kWindow + shift);
    EXPECT_TRUE(is_first(item, 1));
    advance(kWindow - 1ms);
    EXPECT_FALSE(is_first(item, 1)) << shift.count();
    advance(1ms);
    EXPECT_TRUE(is_first(item, 1)) << shift.count();
    EXPECT_FALSE(is_first(item, 1)) << shift.count();
    EXPECT_EQ(total(item).views, 2u);
    advance(kWindow - 1ms);
    EXPECT_FALSE(is_first(item, 1)) << shift.count();
    advance(5 * kWindow);
    EXPECT_TRUE(is_first(item, 1)) << shift.count();
  }
}

TEST_P(ViewWindowConformance, AViewThatDoesNotCountProlongsNothing) {
  EXPECT_TRUE(is_first(story("s"), 1));
  for (int i = 0; i < 23; ++i) {
    advance(1h);
    EXPECT_FALSE(is_first(story("s"), 1));
  }
  EXPECT_FALSE(view({.item = story("s"), .viewer = 2, .previous = 1}).is_first);
  advance(1h);
  EXPECT_TRUE(is_first(story("s"), 1));
}

TEST_P(ViewWindowConformance, WhoWasOnlyRememberedCountsAWindowLater) {
  EXPECT_TRUE(view({.item = story("s"), .viewer = 1, .counts = false}).is_first);
  advance(kWindow - 1ms);
  EXPECT_FALSE(is_first(story("s"), 1));
  advance(1ms);
  EXPECT_TRUE(is_first(story("s"), 1));
}

TEST_P(ViewWindowConformance, ARestartKeepsTheWindowToTheMillisecond) {
  EXPECT_TRUE(is_first(story("s"), 1));
  advance(kWindow / 2);
  EXPECT_TRUE(is_first(story("s"), 2));
  under_test->restart();
  advance(kWindow / 2 - 1ms);
  EXPECT_FALSE(is_first(story("s"), 1));
  under_test->restart();
  advance(1ms);
  EXPECT_TRUE(is_first(story("s"), 1));
  EXPECT_FALSE(is_first(story("s"), 2));
  under_test->restart();
  EXPECT_FALSE(is_first(story("s"), 1));
  advance(kWindow / 2);
  EXPECT_TRUE(is_first(story("s"), 2));
  EXPECT_FALSE(is_first(story("s"), 1));
}

TEST_P(ViewWindowConformance, HoursFollowTheClock) {
  advance(std::chrono::ceil<std::chrono::hours>(now().time_since_epoch()) - now().time_since_epoch());
  auto begin = hour_of(now());
  for (Viewer viewer = 1; viewer <= 4; ++viewer) {
    view(story("s"), viewer);
    view(story("s"), viewer + 10);
    advance(30min);
  }
  auto found = hours(story("s"), begin);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].hour, begin);
  EXPECT_EQ(found[0].views, 4u);
  EXPECT_EQ(found[1].hour, begin + 1h);
  EXPECT_EQ(found[1].views, 4u);
}

TEST_P(ViewWindowConformance, ManyDaysAreAsTheModelSays) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Model model;
  for (int i = 0; i < 600; ++i) {
    switch (random() % 8) {
      case 0:
        advance(std::chrono::milliseconds(random() % 3));
        break;
      case 1:
        advance(kWindow / 2 + std::chrono::milliseconds(random() % 3) - 1ms);
        break;
      case 2:
        advance(std::chrono::milliseconds(random() % std::chrono::milliseconds(6h).count()));
        break;
      default:
        break;
    }
    if (random() % 100 == 0) under_test->restart();
    View wanted = random_view(random);
    auto expected = model.view(wanted, now());
    auto found = view(wanted);
    ASSERT_EQ(found.is_first, expected.is_first) << i;
    ASSERT_EQ(found.views, expected.views) << i;
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(total(story("item" + std::to_string(i))).views, model.views(story("item" + std::to_string(i))));
  }
}

// --- what SQL lacks ---

TEST_P(BufferedViewsConformance, AnItemIsMarkedFromTheFirstViewThatSqlLacks) {
  EXPECT_TRUE(buffered().empty());
  view(story("s"), 1);
  view(story("s"), 2);
  view(chapter("c"), 1);
  view({.item = chapter("d"), .viewer = 1, .counts = false});
  pass_time();

  auto marked = buffered();
  std::ranges::sort(marked, {}, &CountedItem::item);
  ASSERT_EQ(marked.size(), 2u);
  EXPECT_EQ(marked[0].item, story("s"));
  EXPECT_EQ(marked[0].views, 2u);
  EXPECT_EQ(marked[0].direct, 0u);
  ASSERT_FALSE(marked[0].hours.empty());
  std::uint64_t in_hours = 0;
  for (const auto& hour : marked[0].hours) in_hours += hour.views;
  EXPECT_EQ(in_hours, 2u);
  EXPECT_EQ(marked[1].item, chapter("c"));
  EXPECT_EQ(marked[1].views, 1u);
  auto counted = stats();
  EXPECT_EQ(counted.stories, 1u);
  EXPECT_EQ(counted.chapters, 1u);
  EXPECT_EQ(counted.views, 3u);
  EXPECT_EQ(total(story("s")).buffered, 2u);
  EXPECT_EQ(in_sql(story("s")), 0u);
}

TEST_P(BufferedViewsConformance, WhatSqlHasIsNoLongerBuffered) {
  view(story("s"), 1);
  view(story("s"), 2);
  pass_time();
  auto at = now();
  write_and_settle();
  EXPECT_EQ(in_sql(story("s")), 2u);
  auto settled = total(story("s"));
  EXPECT_EQ(settled.views, 2u);
  EXPECT_EQ(settled.buffered, 0u);
  ASSERT_TRUE(settled.synced_at);
  EXPECT_GE(*settled.synced_at + 1ms, at);
  pass_time();
  EXPECT_TRUE(buffered().empty());
  EXPECT_EQ(stats().views, 0u);
  EXPECT_EQ(stats().stories, 0u);

  EXPECT_EQ(view(story("s"), 3).views, 3u);
  EXPECT_FALSE(is_first(story("s"), 1));
  EXPECT_EQ(total(story("s")).buffered, 1u);
  pass_time();
  ASSERT_EQ(buffered().size(), 1u);
  EXPECT_EQ(buffered()[0].views, 3u);
}

TEST_P(BufferedViewsConformance, AViewThatComesBetweenKeepsTheMark) {
  view(story("s"), 1);
  view(story("t"), 1);
  pass_time();
  auto items = buffered();
  view(story("s"), 2);
  auto written = write(items);
  view(story("s"), 3);
  settle(items, written);
  EXPECT_EQ(total(story("s")).views, 3u);
  EXPECT_EQ(total(story("s")).buffered, 2u);
  EXPECT_EQ(total(story("t")).buffered, 0u);
  pass_time();
  auto marked = buffered();
  ASSERT_EQ(marked.size(), 1u);
  EXPECT_EQ(marked[0].item, story("s"));
  EXPECT_EQ(marked[0].views, 3u);
  EXPECT_EQ(stats().views, 2u);
  write_and_settle();
  EXPECT_EQ(in_sql(story("s")), 3u);
  EXPECT_EQ(total(story("s")).buffered, 0u);
}

TEST_P(BufferedViewsConformance, SettlingTwiceIsSettlingOnce) {
  outbox::must(outbox::run(ledger().write({{.item = story("s"), .views = 10}}, now())));
  view(story("s"), 1);
  pass_time();
  auto items = buffered();
  auto written = write(items);
  view(story("s"), 2);
  settle(items, written);
  settle(items, written);
  EXPECT_EQ(total(story("s")).views, 12u);
  EXPECT_EQ(total(story("s")).buffered, 1u);
  pass_time();
  write_and_settle();
  settle(items, written);
  EXPECT_EQ(total(story("s")).views, 12u);
  EXPECT_EQ(total(story("s")).buffered, 0u);
  EXPECT_EQ(in_sql(story("s")), 12u);
}

TEST_P(BufferedViewsConformance, TheItemsMarkedLongestAgoComeFirst) {
  for (int i = 0; i < 6; ++i) {
    view(story("item" + std::to_string(i)), 1);
    pass_time();
  }
  view(story("item0"), 2);  // it is marked already
  auto between = now();
  pass_time();
  view(story("item6"), 1);
  auto first = buffered(4);
  ASSERT_EQ(first.size(), 4u);
  std::set<ViewedItem> items;
  for (const auto& item : first) items.insert(item.item);
  EXPECT_EQ(items, (std::set<ViewedItem>{story("item0"), story("item1"), story("item2"), story("item3")}));
  EXPECT_EQ(must(run(buffered_views().buffered(between, 100))).size(), 6u);
  EXPECT_TRUE(must(run(buffered_views().buffered(between - 1h, 100))).empty());

  settle(first, write(first));
  view(story("item0"), 3);
  pass_time();
  auto rest = must(run(buffered_views().buffered(between, 100)));
  EXPECT_EQ(rest.size(), 2u);
}

TEST_P(BufferedViewsConformance, ATotalBeginsAtThatOfSql) {
  must(run(ledger().write({{.item = story("s"), .views = 40}}, now())));
  EXPECT_EQ(total(story("s")).views, 40u);
  EXPECT_EQ(view(story("s"), 1).views, 41u);
  EXPECT_EQ(total(story("s")).buffered, 1u);
  pass_time();
  auto items = buffered();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].views, 41u);
  auto written = write(items);
  EXPECT_EQ(written[0].added, 1u);
  settle(items, written);
  under_test->restart();
  EXPECT_EQ(total(story("s")).views, 41u);
}

TEST_P(BufferedViewsConformance, WhatSqlCountedItselfIsAddedOnce) {
  view(story("s"), 1);
  view(story("s"), 2);
  pass_time();
  auto items = buffered();
  auto written = write(items);
  // As if SQL had counted five itself since.
  written[0].views += 5;
  written[0].direct += 5;
  settle(items, written);
  EXPECT_EQ(total(story("s")).views, 7u);
  EXPECT_EQ(total(story("s")).buffered, 0u);
  EXPECT_EQ(view(story("s"), 3).views, 8u);
  under_test->restart();
  pass_time();
  auto marked = buffered();
  ASSERT_EQ(marked.size(), 1u);
  EXPECT_EQ(marked[0].views, 8u);
  EXPECT_EQ(marked[0].direct, 5u);
}

TEST_P(BufferedViewsConformance, HoursReachSqlWithEachSync) {
  auto hour = hour_of(now());
  view({.item = story("s"), .viewer = 1, .at = hour - 3h});
  view({.item = story("s"), .viewer = 2, .at = hour - 1h});
  pass_time();
  write_and_settle();
  view({.item = story("s"), .viewer = 3, .at = hour - 3h});
  view({.item = story("s"), .viewer = 4, .at = hour - 2h});
  pass_time();
  write_and_settle();
  auto found = must(run(ledger().hours(story("s"), hour - 5h)));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].views, 2u);
  EXPECT_EQ(found[1].views, 1u);
  EXPECT_EQ(found[2].views, 1u);
}

TEST_P(BufferedViewsConformance, ARestartKeepsMarks) {
  view(story("s"), 1);
  pass_time();
  write_and_settle();
  view(story("s"), 2);
  view(chapter("c"), 1);
  under_test->restart();
  pass_time();
  EXPECT_EQ(stats().views, 2u);
  EXPECT_EQ(stats().stories, 1u);
  EXPECT_EQ(total(story("s")).buffered, 1u);
  EXPECT_TRUE(total(story("s")).synced_at);
  EXPECT_EQ(buffered().size(), 2u);
  write_and_settle();
  under_test->restart();
  pass_time();
  EXPECT_TRUE(buffered().empty());
  EXPECT_EQ(in_sql(story("s")), 2u);
  EXPECT_EQ(in_sql(chapter("c")), 1u);
}

// --- a sync ---

TEST_P(BufferedViewsConformance, ASyncBringsAllThatWasAnsweredToSqlAndSaysWhat) {
  for (Viewer viewer = 0; viewer < 5; ++viewer) view(story("s"), viewer);
  for (Viewer viewer = 0; viewer < 3; ++viewer) view(chapter("c"), viewer);
  view(chapter("d"), 1);
  pass_time();
  SystemClock system;
  const Clock& clock = under_test->clock() ? static_cast<const Clock&>(*under_test->clock()) : system;
  ViewSync sync(buffered_views(), ledger(), clock);
  auto report = must(run(sync.run()));
  EXPECT_EQ(report.stories, 1u);
  EXPECT_EQ(report.chapters, 2u);
  EXPECT_EQ(report.story_views, 5u);
  EXPECT_EQ(report.chapter_views, 4u);
  EXPECT_EQ(in_sql(story("s")), 5u);
  EXPECT_EQ(in_sql(chapter("c")), 3u);

  view(story("s"), 7);
  pass_time();
  auto next = must(run(sync.run()));
  EXPECT_EQ(next.stories, 1u);
  EXPECT_EQ(next.story_views, 1u);
  EXPECT_EQ(next.chapters, 0u);
  auto idle = must(run(sync.run()));
  EXPECT_EQ(idle.stories + idle.chapters, 0u);
  EXPECT_EQ(sync.stats().runs, 3u);
  EXPECT_EQ(sync.stats().views, 10u);
  EXPECT_EQ(sync.stats().items, 4u);
}

TEST_P(BufferedViewsConformance, ASyncTakesMoreItemsThanOneRoundHolds) {
  constexpr int kItems = static_cast<int>(kItemsPerWriteMax) * 2 + 100;
  for (int i = 0; i < 4; ++i) {
    loops.spawn(i, [](ViewStore& live, int begin) -> Task<void> {
      for (int item = begin; item < kItems; item += 4) {
        auto outcome = co_await live.view({.item = story("item" + std::to_string(item)), .viewer = 1});
        EXPECT_TRUE(outcome);
      }
    }(store(), i));
  }
  loops.run();
  pass_time();
  SystemClock system;
  const Clock& clock = under_test->clock() ? static_cast<const Clock&>(*under_test->clock()) : system;
  ViewSync sync(buffered_views(), ledger(), clock);
  EXPECT_EQ(must(run(sync.run())).story_views, static_cast<std::uint64_t>(kItems));
  EXPECT_EQ(stats().stories, 0u);
  EXPECT_EQ(in_sql(story("item" + std::to_string(kItems - 1))), 1u);
}

TEST_P(BufferedViewsConformance, SyncsAtOnceUnderLoadCountEachViewOnce) {
  SystemClock clock;
  ViewSync one(buffered_views(), ledger(), clock);
  ViewSync other(buffered_views(), ledger(), clock);  // as if on another node
  std::atomic<std::uint64_t> added{0};
  auto sync = [](ViewSync& own, std::atomic<std::uint64_t>& sum) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      auto report = co_await own.run();
      if (report) sum += report->story_views;
      EXPECT_TRUE(report) << (report ? "" : report.error().message);
    }
  };
  constexpr int kViewers = 100;
  for (int i = 0; i < 2; ++i) {
    loops.spawn(i, [](ViewStore& live, int begin) -> Task<void> {
      for (int viewer = begin; viewer < kViewers; viewer += 2) {
        for (int item = 0; item < 5; ++item) {
          auto outcome = co_await live.view({.item = story(std::to_string(item)), .viewer = Viewer(viewer)});
          EXPECT_TRUE(outcome);
        }
      }
    }(store(), i));
  }
  loops.spawn(2, sync(one, added));
  loops.spawn(3, sync(one, added));
  loops.spawn(1, sync(other, added));
  loops.run();
  pass_time();
  added += must(run(one.run())).story_views;
  EXPECT_EQ(added, static_cast<std::uint64_t>(kViewers * 5));
  for (int item = 0; item < 5; ++item) EXPECT_EQ(in_sql(story(std::to_string(item))), static_cast<std::uint64_t>(kViewers));
}

// Views, syncs that end early, and restarts: SQL never has more than was counted, and all of it in the end.
TEST_P(BufferedViewsConformance, WhateverIsInterruptedNothingIsLostOrDoubled) {
  std::uint64_t seed = fresh_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::map<ViewedItem, std::uint64_t> counted;
  Viewer next_viewer = 1;
  std::vector<CountedItem> items;
  std::vector<WrittenItem> written;
  for (int i = 0; i < 150; ++i) {
    switch (random() % 8) {
      case 0:
        pass_time();
        items = buffered(random() % 4 + 1);
        written.clear();
        break;
      case 1:
        written = write(items);
        break;
      case 2:
        if (written.size() == items.size() && !items.empty()) settle(items, written);
        break;
      case 3:
        if (random() % 4 == 0) under_test->restart();
        break;
      default: {
        auto item = random() % 2 == 0 ? story(std::to_string(random() % 4)) : chapter(std::to_string(random() % 4));
        EXPECT_EQ(view(item, next_viewer++).views, ++counted[item]);
      }
    }
    for (const auto& [item, views] : counted) ASSERT_LE(in_sql(item), views);
  }
  pass_time();
  write_and_settle();
  for (const auto& [item, views] : counted) {
    EXPECT_EQ(in_sql(item), views);
    EXPECT_EQ(total(item).views, views);
    EXPECT_EQ(total(item).buffered, 0u);
  }
}

}  // namespace hearth::views
