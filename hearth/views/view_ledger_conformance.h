#pragma once

// What every ViewLedger promises (view_ledger.h), as tests. For one .cc.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/base/run_to_end.h"
#include "hearth/outbox/test_loops.h"
#include "hearth/views/ledgers/sql_under_test.h"

namespace hearth::views {

using namespace std::chrono_literals;

class ViewLedgerConformance : public testing::TestWithParam<SqlMaker> {
 protected:
  static ViewedItem story(std::string id) { return {ViewedKind::kStory, ViewedId::trusted(std::move(id))}; }
  static ViewedItem chapter(std::string id) { return {ViewedKind::kChapter, ViewedId::trusted(std::move(id))}; }

  ViewLedger& ledger(std::size_t node = 0) { return sql->ledger(node); }
  std::vector<WrittenItem> write(std::vector<CountedItem> items) { return outbox::must(run_to_end(ledger().write(std::move(items), now))); }
  WrittenItem write_one(CountedItem item) {
    std::vector<CountedItem> items;
    items.push_back(std::move(item));
    return write(std::move(items)).front();
  }
  SqlTotal total(ViewedItem item) { return outbox::must(run_to_end(ledger().totals({std::move(item)}))).front(); }
  std::vector<HourViews> hours(ViewedItem item, UtcHour since = {}) {
    return outbox::must(run_to_end(ledger().hours(std::move(item), since)));
  }
  std::vector<HourViews> days(ViewedItem item, UtcHour since = {}) {
    return outbox::must(run_to_end(ledger().days(std::move(item), since)));
  }
  static std::vector<std::uint64_t> views_of(const std::vector<HourViews>& hours) {
    std::vector<std::uint64_t> views;
    for (const auto& hour : hours) views.push_back(hour.views);
    return views;
  }
  using Numbers = std::vector<std::uint64_t>;

  std::unique_ptr<SqlUnderTest> sql = GetParam().make();
  const UtcHour hour = hour_of(UtcMicros(std::chrono::seconds(1'700'000'000)));  // 22:00
  const UtcMicros now = hour + 20min;
};

TEST_P(ViewLedgerConformance, WhatWasNeverWrittenHasZeros) {
  auto unknown = total(story("s"));
  EXPECT_EQ(unknown.views, 0u);
  EXPECT_EQ(unknown.direct, 0u);
  EXPECT_FALSE(unknown.synced_at);
  EXPECT_TRUE(hours(story("s")).empty());
  EXPECT_TRUE(days(story("s")).empty());
  EXPECT_TRUE(outbox::must(run_to_end(ledger().totals({}))).empty());
  EXPECT_TRUE(write({}).empty());
}

TEST_P(ViewLedgerConformance, WritingTheSameAgainChangesNothing) {
  CountedItem counted{.item = story("s"), .views = 7, .hours = {{hour - 1h, 3}, {hour, 4}}};
  auto first = write_one(counted);
  EXPECT_EQ(first.views, 7u);
  EXPECT_EQ(first.added, 7u);
  EXPECT_EQ(total(story("s")).synced_at, now);
  auto again = write_one(counted);
  EXPECT_EQ(again.views, 7u);
  EXPECT_EQ(again.added, 0u);
  EXPECT_EQ(total(story("s")).views, 7u);
  EXPECT_EQ(views_of(hours(story("s"))), (Numbers{3, 4}));
  EXPECT_EQ(views_of(days(story("s"))), (Numbers{7}));
  EXPECT_EQ(sql->number("SELECT count(*) FROM view_counts"), 1);
}

TEST_P(ViewLedgerConformance, ANumberIsNeverReplacedByASmallerOne) {
  write_one({.item = story("s"), .views = 7, .hours = {{hour, 5}}});
  auto smaller = write_one({.item = story("s"), .views = 6, .hours = {{hour, 4}, {hour - 1h, 1}}});
  EXPECT_EQ(smaller.views, 7u);
  EXPECT_EQ(smaller.added, 0u);
  EXPECT_EQ(views_of(hours(story("s"))), (Numbers{1, 5}));
  EXPECT_EQ(views_of(days(story("s"))), (Numbers{6}));

  sql->execute("DELETE FROM view_hours");
  write_one({.item = story("s"), .views = 8, .hours = {{hour, 2}}});
  EXPECT_EQ(views_of(days(story("s"))), (Numbers{6})) << "of hours that are gone by now";
}

TEST_P(ViewLedgerConformance, KindsAndItemsAreApart) {
  auto written = write({{.item = chapter("a"), .views = 1}, {.item = story("b"), .views = 2}, {.item = story("a"), .views = 3}});
  ASSERT_EQ(written.size(), 3u);
  EXPECT_EQ(written[0].views, 1u);
  EXPECT_EQ(written[1].views, 2u);
  EXPECT_EQ(written[2].views, 3u);
  auto totals = outbox::must(run_to_end(ledger().totals({story("a"), chapter("b"), chapter("a"), story("b"), story("a")})));
  Numbers found;
  for (const auto& each : totals) found.push_back(each.views);
  EXPECT_EQ(found, (Numbers{3, 0, 1, 2, 3}));
}

TEST_P(ViewLedgerConformance, DaysAreSumsOfTheirHoursInUtc) {
  auto midnight = std::chrono::floor<std::chrono::days>(hour);
  write_one({.item = story("s"), .views = 9, .hours = {{midnight - 1h, 1}, {midnight, 2}, {midnight + 23h, 3}, {midnight + 24h, 4}}});
  write_one({.item = story("s"), .views = 9, .hours = {{midnight + 5h, 10}, {midnight + 6h, 0}}});
  write_one({.item = chapter("s"), .views = 9, .hours = {{midnight, 50}}});
  auto found = days(story("s"));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(views_of(found), (Numbers{1, 15, 4}));
  EXPECT_EQ(found[0].hour, UtcHour(midnight - 24h));
  EXPECT_EQ(found[1].hour, UtcHour(midnight));
  EXPECT_EQ(views_of(days(story("s"), midnight)), (Numbers{15, 4}));
  EXPECT_EQ(views_of(hours(story("s"), midnight + 5h)), (Numbers{10, 3, 4}));
  EXPECT_EQ(hours(story("s")).front().hour, UtcHour(midnight - 1h));
}

TEST_P(ViewLedgerConformance, ReadCountsFollowTheTotal) {
  sql->add_content(story("s"), 0);
  sql->add_content(chapter("s"), 0);
  write({{.item = story("s"), .views = 4}, {.item = chapter("s"), .views = 5}, {.item = story("elsewhere"), .views = 6}});
  EXPECT_EQ(sql->read_count(story("s")), 4u);
  EXPECT_EQ(sql->read_count(chapter("s")), 5u);
  EXPECT_EQ(total(story("elsewhere")).views, 6u);
}

TEST_P(ViewLedgerConformance, ALargerReadCountIsTheTotal) {
  sql->add_content(story("s"), 100);
  EXPECT_EQ(total(story("s")).views, 100u);
  auto written = write_one({.item = story("s"), .views = 4});
  EXPECT_EQ(written.views, 100u);
  EXPECT_EQ(written.added, 0u);
  written = write_one({.item = story("s"), .views = 104});
  EXPECT_EQ(written.added, 4u);
  EXPECT_EQ(sql->read_count(story("s")), 104u);

  sql->execute("UPDATE stories SET read_count = 3 WHERE id = 's'");
  EXPECT_EQ(total(story("s")).views, 104u);
  write_one({.item = story("s"), .views = 4});
  EXPECT_EQ(sql->read_count(story("s")), 104u) << "it was behind";
  sql->execute("UPDATE stories SET read_count = -5 WHERE id = 's'");
  EXPECT_EQ(total(story("s")).views, 104u);
}

TEST_P(ViewLedgerConformance, WhatSqlCountedItselfIsAdded) {
  write_one({.item = story("s"), .views = 10});
  sql->execute("UPDATE view_counts SET views = views + 5, direct = direct + 5");
  auto written = write_one({.item = story("s"), .views = 12});
  EXPECT_EQ(written.views, 17u);
  EXPECT_EQ(written.direct, 5u);
  EXPECT_EQ(written.added, 2u);
  EXPECT_EQ(write_one({.item = story("s"), .views = 12}).views, 17u);
  written = write_one({.item = story("s"), .views = 18, .direct = 5});
  EXPECT_EQ(written.views, 18u);
  EXPECT_EQ(total(story("s")).direct, 5u);
}

// A live store that learns of what SQL counted when its numbers were written, or later, and writes again when it pleases.
TEST_P(ViewLedgerConformance, TotalsAreAsAModelSays) {
  auto seed = std::random_device()() % 100'000;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  struct Item {
    std::uint64_t live = 0;         // views that the live store knows of, and how many of them SQL counted
    std::uint64_t live_direct = 0;  //
    std::uint64_t sql = 0;
    std::uint64_t direct = 0;
    std::uint64_t all = 0;  // that there were
  };
  std::map<std::string, Item> model;
  for (int i = 0; i < 300; ++i) {
    auto id = "s" + std::to_string(random() % 3);
    Item& item = model[id];
    if (item.all == 0) write_one({.item = story(id)});
    switch (random() % 4) {
      case 0:
        ++item.live;
        ++item.all;
        break;
      case 1:
        sql->execute("UPDATE view_counts SET views = views + 1, direct = direct + 1 WHERE item_id = '" + id + "'");
        ++item.sql;
        ++item.direct;
        ++item.all;
        break;
      default: {
        auto written = write_one({.item = story(id), .views = item.live, .direct = item.live_direct});
        ASSERT_EQ(written.views, item.all) << i;
        ASSERT_EQ(written.direct, item.direct) << i;
        ASSERT_EQ(written.added, item.all - item.sql) << i;
        item.sql = item.all;
        if (random() % 2 == 0) {
          item.live = written.views;
          item.live_direct = written.direct;
        }
      }
    }
    ASSERT_EQ(total(story(id)).views, item.sql) << i;
  }
}

TEST_P(ViewLedgerConformance, AThousandItemsAreOneWrite) {
  std::vector<CountedItem> items;
  for (std::size_t i = 0; i < kItemsPerWriteMax; ++i) {
    auto item = i % 2 == 0 ? story("item" + std::to_string(i * 7)) : chapter("item" + std::to_string(i * 7));
    if (i % 10 == 0) sql->add_content(item, 0);
    items.push_back({.item = item, .views = i, .hours = {{hour, i}, {hour - 1h, 1}}});
  }
  auto written = write(items);
  ASSERT_EQ(written.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) EXPECT_EQ(written[i].views, i);
  std::vector<ViewedItem> asked;
  for (const auto& item : items) asked.push_back(item.item);
  std::ranges::reverse(asked);
  auto totals = outbox::must(run_to_end(ledger().totals(asked)));
  for (std::size_t i = 0; i < items.size(); ++i) EXPECT_EQ(totals[i].views, items.size() - 1 - i);
  EXPECT_EQ(sql->read_count(story(items[500].item.id.str())), 500u);
  EXPECT_EQ(views_of(days(items[500].item)), (Numbers{501}));
}

TEST_P(ViewLedgerConformance, EightWritersOfTheSameItemsLoseNothingAndDoNotHoldEachOtherUp) {
  constexpr std::size_t kWriters = 8;
  constexpr std::size_t kItems = 60;
  constexpr std::uint64_t kRounds = 15;
  sql->add_content(story("item0"), 0);
  sql->add_content(chapter("item1"), 0);
  auto item = [](std::size_t i) { return i % 2 == 0 ? story("item" + std::to_string(i)) : chapter("item" + std::to_string(i)); };
  auto deadlocks = sql->deadlocks();
  std::atomic<std::uint64_t> added = 0;
  std::vector<std::jthread> writers;
  for (std::size_t writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      std::mt19937_64 random(writer);
      for (std::uint64_t round = 1; round <= kRounds; ++round) {
        std::vector<CountedItem> items;
        for (std::size_t i = 0; i < kItems; ++i) {
          if (random() % 4 != 0 || round == kRounds) {
            items.push_back({.item = item(i), .views = round * 10 + writer, .hours = {{hour - std::chrono::hours(writer), round}}});
          }
        }
        std::ranges::shuffle(items, random);
        for (const auto& each : outbox::must(run_to_end(ledger(writer).write(std::move(items), now)))) added += each.added;
      }
    });
  }
  writers.clear();
  EXPECT_EQ(sql->deadlocks(), deadlocks);
  std::uint64_t most = kRounds * 10 + kWriters - 1;
  for (std::size_t i = 0; i < kItems; ++i) {
    EXPECT_EQ(total(item(i)).views, most);
    EXPECT_EQ(views_of(hours(item(i))), Numbers(kWriters, kRounds));
    EXPECT_EQ(views_of(days(item(i))), (Numbers{kRounds * kWriters}));
  }
  EXPECT_EQ(added, most * kItems);
  EXPECT_EQ(sql->read_count(story("item0")), most);
  EXPECT_EQ(sql->read_count(chapter("item1")), most);
}

TEST_P(ViewLedgerConformance, OldHoursAndDaysArePrunedSomeThousandAtATime) {
  std::vector<HourViews> old;
  for (int i = 1; i <= 6'000; ++i) old.push_back({hour_of(now - kHoursKept) - std::chrono::hours(i), 1});
  write_one({.item = story("s"), .views = 9, .hours = old});
  write_one(
      {.item = story("s"), .views = 9, .hours = {{hour, 1}, {hour_of(now - kHoursKept) + 1h, 1}, {hour_of(now - kDaysKept) - 48h, 1}}});
  EXPECT_TRUE(outbox::must(run_to_end(ledger().prune(now))));
  while (outbox::must(run_to_end(ledger().prune(now)))) {
  }
  EXPECT_EQ(hours(story("s")).size(), 2u);
  EXPECT_EQ(days(story("s")).front().hour, UtcHour(std::chrono::floor<std::chrono::days>(now - kHoursKept - 6'000h)));
  EXPECT_FALSE(outbox::must(run_to_end(ledger().prune(now))));
}

}  // namespace hearth::views
