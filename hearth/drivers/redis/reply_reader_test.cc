#include "hearth/drivers/redis/reply_reader.h"

#include <gtest/gtest.h>

namespace hearth::redis {
namespace {

std::optional<Reply> reply_of(std::string_view bytes) {
  ReplyReader reader;
  reader.feed(bytes);
  auto reply = reader.next();
  return reply ? *std::move(reply) : std::nullopt;
}

bool is_refused(std::string_view bytes) {
  ReplyReader reader;
  reader.feed(bytes);
  return !reader.next();
}

TEST(ReplyReader, EachTypeIsRead) {
  EXPECT_EQ(reply_of("+OK\r\n")->text, "OK");
  EXPECT_EQ(reply_of(":-7\r\n")->integer, -7);
  EXPECT_EQ(reply_of(std::string_view("$3\r\na\0b\r\n", 9))->text, std::string_view("a\0b", 3));
  EXPECT_TRUE(reply_of("$-1\r\n")->is_nil());
  EXPECT_TRUE(reply_of("*-1\r\n")->is_nil());
  EXPECT_EQ(reply_of("-ERR no\r\n")->type, Reply::Type::kError);
  auto nested = reply_of("*3\r\n*2\r\n:1\r\n:2\r\n-ERR no\r\n$0\r\n\r\n");
  ASSERT_EQ(nested->elements.size(), 3u);
  EXPECT_EQ(nested->elements[0].elements[1].integer, 2);
  EXPECT_EQ(nested->elements[1].type, Reply::Type::kError);
  EXPECT_EQ(nested->elements[2].type, Reply::Type::kText);
}

TEST(ReplyReader, RepliesMayComeByteByByte) {
  constexpr std::string_view kBytes = "*2\r\n$5\r\nhello\r\n*1\r\n:42\r\n+OK\r\n";
  ReplyReader reader;
  std::vector<Reply> replies;
  for (char byte : kBytes) {
    reader.feed({&byte, 1});
    auto reply = reader.next();
    ASSERT_TRUE(reply);
    if (*reply) replies.push_back(**std::move(reply));
  }
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0].elements[0].text, "hello");
  EXPECT_EQ(replies[0].elements[1].elements[0].integer, 42);
  EXPECT_EQ(replies[1].text, "OK");
}

TEST(ReplyReader, AnArrayLargerThanWhatIsReservedKeepsItsElements) {
  std::string bytes = "*10000\r\n";
  for (int i = 0; i < 10'000; ++i) bytes += "*1\r\n:" + std::to_string(i) + "\r\n";
  auto reply = reply_of(bytes);
  ASSERT_EQ(reply->elements.size(), 10'000u);
  for (std::size_t i = 0; i < 10'000; ++i) ASSERT_EQ(reply->elements[i].elements[0].integer, static_cast<std::int64_t>(i));
}

TEST(ReplyReader, WhatIsNoReplyOrTooLargeIsRefused) {
  EXPECT_TRUE(is_refused("hello\r\n"));
  EXPECT_TRUE(is_refused("*2000000000\r\n"));
  EXPECT_TRUE(is_refused("*-5\r\n"));
  EXPECT_TRUE(is_refused(":x\r\n"));
  std::string deep;
  for (int i = 0; i < 20; ++i) deep += "*1\r\n";
  EXPECT_TRUE(is_refused(deep + ":1\r\n"));
}

}  // namespace
}  // namespace hearth::redis
