#include "hearth/drivers/redis/url.h"

#include <gtest/gtest.h>

namespace hearth::redis {
namespace {

TEST(RedisUrl, OneHostIsASingleServer) {
  auto url = parse_url("redis://cache.example:7000/3");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->mode, Mode::kSingle);
  EXPECT_FALSE(url->is_tls);
  EXPECT_EQ(url->addresses, (std::vector<Address>{{.host = "cache.example", .port = 7000}}));
  EXPECT_EQ(url->database, 3);
}

TEST(RedisUrl, ThePortHasADefault) {
  EXPECT_EQ(parse_url("redis://a")->addresses[0].port, 6379);
  EXPECT_EQ(parse_url("rediss://a/")->addresses[0].port, 6379);
  EXPECT_EQ(parse_url("redis+sentinel://a/main")->addresses[0].port, 26379);
}

TEST(RedisUrl, CredentialsAreDecoded) {
  auto url = parse_url("rediss://ada:p%40ss%2Fword@h");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_TRUE(url->is_tls);
  EXPECT_EQ(url->user, "ada");
  EXPECT_EQ(url->password, "p@ss/word");
  EXPECT_EQ(parse_url("redis://:secret@h")->user, "");
}

TEST(RedisUrl, SeveralHostsAreACluster) {
  auto url = parse_url("redis://a:1,b:2,[::1]:3");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->mode, Mode::kCluster);
  EXPECT_EQ(url->addresses, (std::vector<Address>{{"a", 1}, {"b", 2}, {"::1", 3}}));
  EXPECT_EQ(url->addresses[2].text(), "[::1]:3");
}

TEST(RedisUrl, SentinelNamesThePrimary) {
  auto url = parse_url("redis+sentinel://:pw@a:1,b/main/2");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->mode, Mode::kSentinel);
  EXPECT_EQ(url->primary_name, "main");
  EXPECT_EQ(url->database, 2);
  EXPECT_EQ(url->addresses.size(), 2u);
}

TEST(RedisUrl, WhatIsNoUrlIsRefusedWithoutShowingThePassword) {
  for (const char* text : {"",
                           "localhost",
                           "http://:secret@h",
                           "redis://",
                           "redis://:secret@",
                           "redis://:secret@h:0",
                           "redis://:secret@h:x",
                           "redis://:secret@h:70000",
                           "redis://:secret@h/x",
                           "redis://:secret@h/-1",
                           "redis://secret@h",
                           "redis://u:@h",
                           "redis://:secret%4@h",
                           "redis://:secret%zz@h",
                           "redis://:secret@a,,b",
                           "redis://:secret@a,b/1",
                           "redis+sentinel://:secret@a",
                           "redis+sentinel://:secret@a/",
                           "redis://:secret@h?db=1",
                           "redis://:secret@h:"}) {
    auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument) << text;
    EXPECT_FALSE(url.error().message.contains("secret")) << text;
  }
}

}  // namespace
}  // namespace hearth::redis
