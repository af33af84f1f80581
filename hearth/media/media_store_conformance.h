#pragma once

// What every MediaStore promises. `make` returns a store that is empty, or holds only what other tests put there.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hearth/media/media_store.h"

namespace hearth::media {

class MediaStoreUnderTest {
 public:
  virtual ~MediaStoreUnderTest() = default;
  virtual MediaStore& store() = 0;
  virtual void reopen() = 0;  // as after a restart
};

struct MediaStoreMaker {
  std::string name;
  std::function<std::unique_ptr<MediaStoreUnderTest>()> make;
};

class MediaStoreConformance : public testing::TestWithParam<MediaStoreMaker> {
 protected:
  static std::string put(MediaStore& store, const std::string& bytes, std::string_view extension = "webp") {
    auto name = media_name(bytes, extension);
    auto address = store.put(name, bytes, media_type_of(name));
    EXPECT_TRUE(address) << address.error().message;
    return name;
  }
  static std::string get(MediaStore& store, std::string_view name) {
    auto media = store.get(name);
    EXPECT_TRUE(media) << media.error().message;
    return media && *media ? (*media)->bytes : "nothing";
  }

  std::unique_ptr<MediaStoreUnderTest> subject = GetParam().make();
  MediaStore& store() { return subject->store(); }
};

TEST_P(MediaStoreConformance, WhatWasPutIsReadWhole) {
  std::string all_bytes;
  for (int c = 0; c < 256; ++c) all_bytes += static_cast<char>(c);
  std::string large;
  while (large.size() < 5'000'000) large += all_bytes + std::to_string(large.size());
  for (const auto& bytes : {std::string("x"), std::string(), all_bytes, large}) {
    EXPECT_TRUE(get(store(), put(store(), bytes)) == bytes) << bytes.size();
  }
}

TEST_P(MediaStoreConformance, ANameHasItsMediaType) {
  EXPECT_EQ((*store().get(put(store(), "a webp", "webp")))->media_type, "image/webp");
  EXPECT_EQ((*store().get(put(store(), "a jpeg", "jpg")))->media_type, "image/jpeg");
  // A store may have been told otherwise; pages are not.
  auto name = media_name("<script>", "html");
  ASSERT_TRUE(store().put(name, "<script>", "text/html"));
  EXPECT_EQ((*store().get(name))->media_type, "application/octet-stream");
}

TEST_P(MediaStoreConformance, PuttingTwiceChangesNothing) {
  auto name = media_name("twice", "webp");
  auto first = store().put(name, "twice", "image/webp");
  auto second = store().put(name, "twice", "image/webp");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_TRUE(first->ends_with("/" + name)) << *first;
  EXPECT_EQ(get(store(), name), "twice");
}

TEST_P(MediaStoreConformance, WhatIsNotThereIsNothing) {
  auto media = store().get(media_name("never put", "webp"));
  ASSERT_TRUE(media) << media.error().message;
  EXPECT_FALSE(media->has_value());
}

TEST_P(MediaStoreConformance, WhatIsNoNameIsNothing) {
  for (const char* name : {"", ".", "..", "../a.webp", "a/b.webp", ".incoming", "a", "A.webp", "a..webp", "a.webp/", "%2e%2e.webp"}) {
    auto media = store().get(name);
    ASSERT_TRUE(media) << name << media.error().message;
    EXPECT_FALSE(media->has_value()) << name;
  }
}

TEST_P(MediaStoreConformance, StaysWhenReopened) {
  auto name = put(store(), "stays");
  subject->reopen();
  EXPECT_EQ(get(store(), name), "stays");
}

TEST_P(MediaStoreConformance, ManyThreadsPutTheSameAndOther) {
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 10; ++i) {
          auto same = "the same for all " + std::to_string(i), own = "of " + std::to_string(thread) + ": " + std::to_string(i);
          right += get(store(), put(store(), same)) == same ? 1 : 0;
          right += get(store(), put(store(), own)) == own ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(right, 8 * 10 * 2);
}

}  // namespace hearth::media
