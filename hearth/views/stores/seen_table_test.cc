#include "hearth/views/stores/seen_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "hearth/views/view_store_conformance.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kDay = 24h;
constexpr UtcMillis kBegin{kDay * 19'000};
constexpr std::uint64_t kPlenty = 1ull << 40;

bool see(SeenTable& table, std::uint64_t hash, UtcMillis at, UtcMillis now, outbox::Sequence sequence = 0) {
  auto access = table.open(hash, now);
  if (access.is_seen(at) || !access.make_room(at)) return false;
  access.insert(at, sequence, 0);
  return true;
}
bool is_seen(SeenTable& table, std::uint64_t hash, UtcMillis at) {
  return table.open(hash, at).is_seen(at);
}

TEST(SeenEntries, HoldWhatAMapHolds) {
  std::mt19937_64 random(3);
  for (std::uint64_t mask : {~std::uint64_t{0}, std::uint64_t{0xff} << 56, std::uint64_t{0xfff}, std::uint64_t{0xff00ff} << 40}) {
    SeenEntries entries;
    std::map<std::uint64_t, std::uint32_t> model;
    for (int i = 0; i < 20'000; ++i) {
      std::uint64_t hash = std::max<std::uint64_t>(random() & mask, 1);
      if (random() % 3 == 0) {
        entries.erase(hash);
        model.erase(hash);
      } else if (!model.contains(hash)) {
        while (!entries.has_room_for(hash)) entries.grow(entries.next_slots());
        entries.insert(hash, static_cast<std::uint32_t>(i));
        model[hash] = static_cast<std::uint32_t>(i);
      }
      auto found = entries.find(hash);
      ASSERT_EQ(found.has_value(), model.contains(hash));
      if (found) ASSERT_EQ(*found, model[hash]);
    }
    ASSERT_EQ(entries.size(), model.size());
    for (const auto& [hash, millis] : model) ASSERT_EQ(entries.find(hash), millis);
  }
}

TEST(SeenTable, HashesOfOneItemsViewersDiffer) {
  std::vector<std::uint64_t> hashes;
  for (Viewer viewer = 0; viewer < 10'000; ++viewer) {
    hashes.push_back(seen_hash(story("s"), viewer));
    hashes.push_back(seen_hash(chapter("s"), viewer << 32));
  }
  std::ranges::sort(hashes);
  EXPECT_TRUE(std::ranges::adjacent_find(hashes) == hashes.end());
  EXPECT_NE(hashes.front(), 0u);
}

TEST(SeenTable, ThePromisedBytesAnEntry) {
  SeenTable table(kDay, kPlenty);
  std::mt19937_64 random(5);
  double worst = 0;
  double sum = 0;
  int samples = 0;
  for (std::size_t entries = 256'000; entries < 1'600'000; entries = entries * 41 / 40) {
    while (table.stats().entries < entries) see(table, random() | 1, kBegin, kBegin);
    double bytes = static_cast<double>(table.stats().bytes) / static_cast<double>(table.stats().entries);
    worst = std::max(worst, bytes);
    sum += bytes;
    ++samples;
  }
  std::cout << "bytes an entry: " << sum / samples << " on average, " << worst << " at most\n";
  EXPECT_LE(sum / samples, 16.0);
  EXPECT_LE(worst, 17.0);
}

TEST(SeenTable, AGenerationLeavesTwoWindowsAfterItBegan) {
  SeenTable table(kDay, kPlenty);
  for (std::uint64_t hash = 1; hash <= 1'000; ++hash) EXPECT_TRUE(see(table, hash << 32, kBegin + kDay - 1ms, kBegin + kDay - 1ms));
  table.expire(kBegin + 2 * kDay - 2ms);
  EXPECT_TRUE(is_seen(table, 1ull << 32, kBegin + 2 * kDay - 2ms));
  EXPECT_FALSE(is_seen(table, 1ull << 32, kBegin + 2 * kDay - 1ms));
  EXPECT_EQ(table.stats().entries, 1'000u);
  table.expire(kBegin + 2 * kDay);
  EXPECT_EQ(table.stats().entries, 0u);
  EXPECT_EQ(table.stats().bytes, 0u);
}

TEST(SeenTable, OfALateViewTheWindowReachesBothWays) {
  SeenTable table(kDay, kPlenty);
  auto now = kBegin + 3h;
  EXPECT_TRUE(see(table, 5, now, now));
  EXPECT_FALSE(see(table, 5, now - kDay + 1ms, now));
  EXPECT_TRUE(see(table, 5, now - kDay, now));
}

TEST(SeenTable, AClockThatWasSetBackForgetsNothing) {
  SeenTable table(kDay, kPlenty);
  EXPECT_TRUE(see(table, 5, kBegin + 1h, kBegin + 1h));
  EXPECT_FALSE(see(table, 5, kBegin - 1h, kBegin - 1h));
  EXPECT_TRUE(see(table, 6, kBegin - 1h, kBegin - 1h));
  EXPECT_FALSE(see(table, 6, kBegin + 1h, kBegin + 1h));
  EXPECT_TRUE(see(table, 6, kBegin + 23h, kBegin + 23h));
}

TEST(SeenTable, WhatCameLongAgoIsTakenAsTheOldestThatIsKnown) {
  SeenTable table(kDay, kPlenty);
  auto now = kBegin + 1h;
  EXPECT_TRUE(see(table, 5, kBegin - 90 * kDay, now));
  EXPECT_FALSE(see(table, 5, kBegin - 90 * kDay, now));
  EXPECT_FALSE(see(table, 5, table.oldest(now), now));
  EXPECT_TRUE(see(table, 5, now, now));
}

TEST(SeenTable, AFullTableKeepsWhatItHasAndTakesNoMore) {
  SeenTable table(kDay, 1 << 20);
  std::mt19937_64 random(9);
  std::vector<std::uint64_t> taken;
  int refused = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::uint64_t hash = random() | 1;
    see(table, hash, kBegin, kBegin) ? taken.push_back(hash) : static_cast<void>(++refused);
    ASSERT_LE(table.stats().bytes, std::uint64_t{1} << 20);
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(table.stats().refusals, static_cast<std::uint64_t>(refused));
  EXPECT_GT(taken.size(), (1u << 20) / 17u);
  for (std::uint64_t hash : taken) ASSERT_TRUE(is_seen(table, hash, kBegin));
  table.expire(kBegin + 2 * kDay);
  EXPECT_TRUE(see(table, 77, kBegin + 2 * kDay, kBegin + 2 * kDay));
}

TEST(SeenTable, TakesBackTheBatchesThatWereLost) {
  SeenTable table(kDay, kPlenty);
  std::mt19937_64 random(11);
  std::vector<std::uint64_t> hashes;
  for (int i = 0; i < 5'000; ++i) {
    hashes.push_back(random() | 1);
    // The batch is on disk a little after the next has begun.
    auto access = table.open(hashes.back(), kBegin);
    ASSERT_TRUE(access.make_room(kBegin));
    access.insert(kBegin, static_cast<outbox::Sequence>(i / 100 + 1), static_cast<outbox::Sequence>(i / 100));
  }
  table.take_back(50);
  for (int i = 0; i < 5'000; ++i) ASSERT_EQ(is_seen(table, hashes[i], kBegin), i < 4'900) << i;
  table.take_back(50);
  EXPECT_EQ(table.stats().entries, 4'900u);
}

TEST(SeenTable, LoadsWhatWasKeptAndNothingOld) {
  SeenTable table(kDay, 1 << 16);
  std::mt19937_64 random(13);
  auto now = kBegin + 1h;
  table.reserve(20'000, 20'000, now);
  std::vector<std::uint64_t> hashes;
  for (int i = 0; i < 40'000; ++i) {
    hashes.push_back(random() | 1);
    table.load(hashes.back(), i % 2 == 0 ? now - 30min : now - 3h, now);
  }
  table.load(1, now - 2 * kDay, now);
  table.load(hashes[0], now - 30min, now);
  EXPECT_EQ(table.stats().entries, 40'000u);
  for (std::uint64_t hash : hashes) ASSERT_TRUE(is_seen(table, hash, now));
  for (int i = 0; i < 20'000; ++i) see(table, random() | 1, now, now);
  EXPECT_GT(table.stats().refusals, 0u);  // it was too full to grow
}

}  // namespace
}  // namespace hearth::views
