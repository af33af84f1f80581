#include "hearth/media/media_store.h"

#include <gtest/gtest.h>

namespace hearth::media {
namespace {

TEST(MediaName, IsMadeOfTheContent) {
  EXPECT_EQ(media_name("abc", "webp"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.webp");
  EXPECT_NE(media_name("abd", "webp"), media_name("abc", "webp"));
  EXPECT_NE(media_name("abc", "jpg"), media_name("abc", "webp"));
  EXPECT_TRUE(is_media_name(media_name("", "jpg")));
}

TEST(MediaName, NothingElseIsOne) {
  for (const char* good : {"a.b", "0-9.webp", "ba7816bf.jpg", "-a.b"}) EXPECT_TRUE(is_media_name(good)) << good;
  EXPECT_TRUE(is_media_name(std::string(98, 'a') + ".b"));
  EXPECT_FALSE(is_media_name(std::string(99, 'a') + ".b"));
  const std::string bad[] = {"",           "a",        ".",   "..",  ".a",    "a.",    "a.b.c",  "../a.b", "/a.b",
                             "a/b.c",      "a\\b.c",   "A.b", "a.B", "a b.c", "a_b.c", "a%2e.b", "a.b\n",  std::string("a\0.b", 4),
                             "\xc3\xa4.b", ".incoming"};
  for (const auto& name : bad) EXPECT_FALSE(is_media_name(name)) << name;
}

TEST(MediaName, SaysTheMediaType) {
  EXPECT_EQ(media_type_of("a.webp"), "image/webp");
  EXPECT_EQ(media_type_of("a.jpg"), "image/jpeg");
  for (const char* other : {"a.html", "a.svg", "a.js", "webp", "a.webp.html"}) EXPECT_EQ(media_type_of(other), "application/octet-stream");
}

}  // namespace
}  // namespace hearth::media
