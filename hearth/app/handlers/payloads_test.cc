#include "hearth/app/handlers/payloads.h"

#include <gtest/gtest.h>

#include "hearth/app/handlers/webhook.h"

namespace hearth::app {
namespace {

template <typename Payload>
std::string refused_field(std::string_view payload) {
  auto parsed = Payload::parse(payload);
  return parsed ? std::string() : parsed.error().field;
}

TEST(Payloads, ImagesNeedAPostAndAnAddress) {
  auto image = ProcessImage::parse(R"({"postId":"p","imageUrl":"https://a.example/1.jpg","more":[1]})");
  ASSERT_TRUE(image);
  EXPECT_EQ(image->post.view(), "p");
  EXPECT_EQ(image->image_url, "https://a.example/1.jpg");
  EXPECT_EQ(ProcessImage::parse(R"({"postId":42,"imageUrl":"https://a.example/1.jpg"})")->post.view(), "42");
  EXPECT_EQ(refused_field<ProcessImage>(R"({"imageUrl":"https://a.example/1.jpg"})"), "postId");
  EXPECT_EQ(refused_field<ProcessImage>(R"({"postId":"a b","imageUrl":"https://a.example/1.jpg"})"), "postId");
  EXPECT_EQ(refused_field<ProcessImage>(R"({"postId":"p"})"), "imageUrl");
  EXPECT_EQ(refused_field<ProcessImage>(R"({"postId":"p","imageUrl":"file:///etc/passwd"})"), "imageUrl");
}

TEST(Payloads, ThumbnailsNeedSizesWithinLimits) {
  auto thumbnail = GenerateThumbnail::parse(R"({"imageUrl":"https://a.example/1.jpg","sizes":[200,400]})");
  ASSERT_TRUE(thumbnail);
  EXPECT_EQ(thumbnail->sizes, (std::vector<int>{200, 400}));
  for (const char* sizes : {"[]", "[0]", "[2049]", "[1,1,1,1,1,1,1,1,1,1,1]", "\"200\""}) {
    auto payload = R"({"imageUrl":"https://a.example/1.jpg","sizes":)" + std::string(sizes) + "}";
    EXPECT_EQ(refused_field<GenerateThumbnail>(payload), "sizes") << sizes;
  }
  EXPECT_EQ(refused_field<GenerateThumbnail>(R"({"sizes":[1]})"), "imageUrl");
}

TEST(Payloads, NotificationsNeedAUserAndATitle) {
  auto sent = SendNotification::parse(R"({"userId":"u","title":"Hi","body":null,"data":{"post":1}})");
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->draft.title, "Hi");
  EXPECT_EQ(sent->draft.type, "message");
  EXPECT_FALSE(sent->draft.body);
  EXPECT_EQ(sent->draft.data, R"({"post":1})");
  EXPECT_EQ(refused_field<SendNotification>(R"({"title":"Hi"})"), "userId");
  EXPECT_EQ(refused_field<SendNotification>(R"({"userId":"u"})"), "title");
  EXPECT_EQ(refused_field<SendNotification>(R"({"userId":"u","title":""})"), "title");
  EXPECT_EQ(refused_field<SendNotification>(R"({"userId":"u","title":")" + std::string(257, 'x') + R"("})"), "title");
  EXPECT_EQ(refused_field<SendNotification>(R"({"userId":"u","title":"Hi","body":")" + std::string(4'001, 'x') + R"("})"), "body");
}

TEST(Payloads, NumbersStayWithinLimitsAndHaveDefaults) {
  EXPECT_EQ(CleanupExpired::parse("{}")->older_than_days, 30);
  EXPECT_EQ(CleanupExpired::parse(R"({"olderThanDays":0})")->older_than_days, 0);
  EXPECT_EQ(refused_field<CleanupExpired>(R"({"olderThanDays":-1})"), "olderThanDays");
  EXPECT_EQ(RecomputeRankings::parse("{}")->limit, 1'000u);
  EXPECT_EQ(refused_field<RecomputeRankings>(R"({"limit":5001})"), "limit");
  EXPECT_EQ(refused_field<SyncLikeCount>("{}"), "postId");
  EXPECT_FALSE(SyncLikeCount::parse("[]"));
  EXPECT_FALSE(SyncLikeCount::parse("not json"));
}

// Made with: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
TEST(Webhook, SignsTimestampAndBody) {
  EXPECT_EQ(webhook_signature("secret", "1700000000", R"({"a":1})"),
            "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
}

}  // namespace
}  // namespace hearth::app
