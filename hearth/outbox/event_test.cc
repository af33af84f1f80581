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

const Viewed kView{.item = "story",
                   .kind = 1,
                   .step = ViewStep::kRemembered,
                   .viewer = ~std::uint64_t{0},
                   .at = UtcMicros(std::chrono::microseconds(1'700'000'000'000'003)),
                   .recorded_at = UtcMicros(std::chrono::microseconds(1'700'000'000'000'004)),
                   .views = 12,
                   .buffered = 3,
                   .direct = 2};

template <typename Event>
std::string encoded(const std::vector<Event>& events) {
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
  std::string batch = encoded<LikeChanged>({kLike, unlike});
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
  std::string batch = encoded<LikeChanged>({kLike, kLike});
  for (std::size_t size = 1; size < batch.size(); ++size) {
    bool is_whole = true;
    std::size_t count = count_events(std::string_view(batch).substr(0, size), is_whole);
    EXPECT_EQ(count, size < batch.size() / 2 ? 0u : 1u);
    EXPECT_EQ(is_whole, size == batch.size() / 2) << size;
  }
}

TEST(Event, AViewComesBackAsItWas) {
  std::vector<Viewed> found;
  Viewed counted = kView;
  counted.step = ViewStep::kCounted;
  std::string batch = encoded<Viewed>({kView, counted});
  ASSERT_TRUE(decode(batch, [&](const Viewed& event) { found.push_back(event); }));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].kind, kView.kind);
  EXPECT_EQ(found[0].step, ViewStep::kRemembered);
  EXPECT_EQ(found[0].viewer, kView.viewer);
  EXPECT_EQ(found[0].at, kView.at);
  EXPECT_EQ(found[0].recorded_at, kView.recorded_at);
  EXPECT_EQ(found[0].views, 12u);
  EXPECT_EQ(found[0].buffered, 3u);
  EXPECT_EQ(found[0].direct, 2u);
  EXPECT_EQ(found[1].step, ViewStep::kCounted);
}

TEST(Event, EachReaderPassesOverWhatIsNotForIt) {
  std::string batch;
  for (char kind : std::string("lvvlvl")) kind == 'l' ? encode(kLike, batch) : encode(kView, batch);
  std::size_t likes = 0;
  std::size_t views = 0;
  ASSERT_TRUE(decode(batch, [&](const LikeChanged& event) { likes += event.likes == kLike.likes ? 1 : 0; }));
  ASSERT_TRUE(decode(batch, [&](const Viewed& event) { views += event.item == kView.item ? 1 : 0; }));
  EXPECT_EQ(likes, 3u);
  EXPECT_EQ(views, 3u);
  EXPECT_FALSE(decode(std::string_view(batch).substr(0, batch.size() - 1), [](const Viewed&) {}));
}

TEST(Event, AViewThatIsCutShortFails) {
  std::string batch = encoded<Viewed>({kView});
  for (std::size_t size = 1; size < batch.size(); ++size) {
    EXPECT_FALSE(decode(std::string_view(batch).substr(0, size), [](const Viewed&) {})) << size;
  }
}

TEST(Event, RandomBytesNeverCrash) {
  std::mt19937_64 random(7);
  std::string batch = encoded<LikeChanged>({kLike, kLike, kLike});
  encode(kView, batch);
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = batch;
    for (std::size_t flips = random() % 4 + 1; flips > 0; --flips) damaged[random() % damaged.size()] = static_cast<char>(random());
    bool is_whole = false;
    EXPECT_LE(count_events(damaged, is_whole), 3u + damaged.size() / 34);
    (void)decode(damaged, [](const Viewed& event) { EXPECT_LE(event.item.size(), 128u); });
  }
}

}  // namespace
}  // namespace hearth::outbox
