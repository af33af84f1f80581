#include "hearth/outbox/idempotency_index.h"

#include <gtest/gtest.h>

#include <string>

namespace hearth::outbox {
namespace {

constexpr UtcMicros kNow{std::chrono::seconds(1'700'000'000)};

KeyedAnswer answer(std::string content, Sequence sequence = 1, UtcMicros at = kNow) {
  return {.content = std::move(content), .sequence = sequence, .at = at};
}

void put(IdempotencyIndex& index, const std::string& key, KeyedAnswer kept) {
  auto lock = index.lock(key);
  index.put(key, std::move(kept));
}
std::string find(IdempotencyIndex& index, const std::string& key, UtcMicros now = kNow) {
  auto lock = index.lock(key);
  const auto* found = index.find(key, now);
  return found ? found->content : "none";
}

TEST(IdempotencyIndex, AnAnswerIsFoundForTenMinutes) {
  IdempotencyIndex index(1'000'000);
  EXPECT_EQ(find(index, "key"), "none");
  put(index, "key", answer("first"));
  EXPECT_EQ(find(index, "key"), "first");
  EXPECT_EQ(find(index, "key", kNow + kIdempotencyPeriod - std::chrono::microseconds(1)), "first");
  EXPECT_EQ(find(index, "key", kNow + kIdempotencyPeriod), "none");
  EXPECT_EQ(find(index, "other"), "none");
}

TEST(IdempotencyIndex, ANewAnswerTakesThePlaceOfAnOldOne) {
  IdempotencyIndex index(1'000'000);
  put(index, "key", answer("first"));
  auto bytes = index.bytes();
  put(index, "key", answer("later"));
  EXPECT_EQ(find(index, "key"), "later");
  EXPECT_EQ(index.bytes(), bytes);
}

TEST(IdempotencyIndex, FullSaysSoAndDropsNothing) {
  IdempotencyIndex index(10'000);
  int kept = 0;
  while (!index.is_full()) put(index, "key" + std::to_string(kept++), answer("content"));
  EXPECT_GT(kept, 30);
  for (int i = 0; i < kept; ++i) EXPECT_EQ(find(index, "key" + std::to_string(i)), "content");
}

TEST(IdempotencyIndex, PruningMakesRoom) {
  IdempotencyIndex index(10'000);
  for (int i = 0; i < 50; ++i) put(index, "old" + std::to_string(i), answer("content"));
  put(index, "young", answer("content", 1, kNow + std::chrono::seconds(1)));
  index.prune(kNow);
  EXPECT_EQ(find(index, "young"), "content");
  EXPECT_EQ(find(index, "old7"), "none");
  EXPECT_LT(index.bytes(), 300u);
}

TEST(IdempotencyIndex, WhatALostBatchHeldIsForgotten) {
  IdempotencyIndex index(1'000'000);
  put(index, "before", answer("kept", 4));
  put(index, "lost", answer("gone", 5));
  put(index, "behind", answer("gone", 6));
  index.forget_from(5);
  EXPECT_EQ(find(index, "before"), "kept");
  EXPECT_EQ(find(index, "lost"), "none");
  EXPECT_EQ(find(index, "behind"), "none");
}

}  // namespace
}  // namespace hearth::outbox
