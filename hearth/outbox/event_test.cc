#include "hearth/outbox/event.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace hearth::outbox {
namespace {

const LikeChanged kLike{.post = "p",
                        .session = "550e8400-e29b-41d4-a716-446655440000",
                        .version = 1'700'000'000'000'002,
                        .previous = 1'700'000'000'000'001,
                        .likes = 447,
                        .is_liked = true,
                        .at = UtcMicros(std::chrono::microseconds(1'700'000'000'000'003))};

std::string encoded(const std::vector<LikeChanged>& events) {
  std::string batch;
  for (const auto& event : events) encode(event, batch);
  return batch;
}

std::size_t count_events(std::string_view batch, bool& is_whole) {
  std::size_t count = 0;
  is_whole = decode(batch, [&](const LikeChanged&) { ++count; }).has_value();
  return count;
}

TEST(Event, ComesBackAsItWas) {
  const std::string longest(128, 'x');
  LikeChanged unlike{.post = longest, .session = longest, .version = ~std::uint64_t{0} >> 1, .previous = 0, .likes = 0, .is_liked = false};
  std::vector<LikeChanged> found;
  std::string batch = encoded({kLike, unlike});
  ASSERT_TRUE(decode(batch, [&](const LikeChanged& event) { found.push_back(event); }));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].post, kLike.post);
  EXPECT_EQ(found[0].session, kLike.session);
  EXPECT_EQ(found[0].version, kLike.version);
  EXPECT_EQ(found[0].previous, kLike.previous);
  EXPECT_EQ(found[0].likes, kLike.likes);
  EXPECT_TRUE(found[0].is_liked);
  EXPECT_EQ(found[0].at, kLike.at);
  EXPECT_EQ(found[1].post, longest);
  EXPECT_FALSE(found[1].is_liked);
}

TEST(Event, AnEmptyBatchHasNone) {
  bool is_whole = false;
  EXPECT_EQ(count_events("", is_whole), 0u);
  EXPECT_TRUE(is_whole);
}

TEST(Event, ABatchThatIsCutShortFails) {
  std::string batch = encoded({kLike, kLike});
  for (std::size_t size = 1; size < batch.size(); ++size) {
    bool is_whole = true;
    std::size_t count = count_events(std::string_view(batch).substr(0, size), is_whole);
    EXPECT_EQ(count, size < batch.size() / 2 ? 0u : 1u);
    EXPECT_EQ(is_whole, size == batch.size() / 2) << size;
  }
}

TEST(Event, RandomBytesNeverCrash) {
  std::mt19937_64 random(7);
  std::string batch = encoded({kLike, kLike, kLike});
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = batch;
    for (std::size_t flips = random() % 4 + 1; flips > 0; --flips) damaged[random() % damaged.size()] = static_cast<char>(random());
    bool is_whole = false;
    EXPECT_LE(count_events(damaged, is_whole), 3u + damaged.size() / 34);
  }
}

}  // namespace
}  // namespace hearth::outbox
