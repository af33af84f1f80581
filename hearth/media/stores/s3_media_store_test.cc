#include "hearth/media/stores/s3_media_store.h"

#include <gtest/gtest.h>

#include "hearth/drivers/web/test_web_server.h"
#include "hearth/media/stores/test_s3_server.h"

namespace hearth::media {
namespace {

class S3MediaStoreTest : public testing::Test {
 protected:
  std::string error_of(const S3Options& wrong) { return error_of(wrong, clock); }
  std::string error_of(const S3Options& wrong, const Clock& by) {
    S3MediaStore store(wrong, web, by);
    auto stored = store.put(name, "bytes", "image/webp");
    auto read = store.get(name);
    EXPECT_FALSE(stored);
    EXPECT_FALSE(read);
    if (stored || read) return {};
    EXPECT_EQ(stored.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(read.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(read.error().message, stored.error().message);
    return stored.error().message;
  }

  web::WebClient web;
  SystemClock clock;
  S3Options options = s3_server().options();
  const std::string name = media_name("bytes", "webp");
};

TEST_F(S3MediaStoreTest, PagesGetTheAddressOfTheBucketIfItIsPublic) {
  EXPECT_EQ(S3MediaStore(options, web, clock).put(name, "bytes", "image/webp").value(), "/media/" + name);
  options.public_url = s3_server().url() + "/public/hearth-media";
  options.prefix = "a/";
  auto address = S3MediaStore(options, web, clock).put(name, "bytes", "image/webp").value();
  EXPECT_EQ(address, options.public_url + "/a/" + name);
  auto page = web.send({.url = address, .allows_private = true});
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->body, "bytes");
  EXPECT_EQ(page->header("content-type"), "image/webp");
  EXPECT_EQ(page->header("cache-control"), "public, max-age=31536000, immutable");
}

TEST_F(S3MediaStoreTest, AnEndpointMayHaveAPath) {
  options.endpoint = s3_server().url() + "/storage/v1/s3/";
  EXPECT_TRUE(error_of(options).contains("404 NoSuchBucket")) << "signed with the path, and the server has no bucket of that name";
}

TEST_F(S3MediaStoreTest, WhatIsWrongIsSaidWithoutSecrets) {
  const std::string of_bucket = " for bucket hearth-media in region eu-test-1";
  options.secret_key = "wrong-secret";
  EXPECT_EQ(error_of(options),
            "the media store answers 403 SignatureDoesNotMatch" + of_bucket + ": check its keys, what they may do, and the clock");
  options = s3_server().options();
  options.access_key = "AKIDOTHER";
  EXPECT_EQ(error_of(options),
            "the media store answers 403 InvalidAccessKeyId" + of_bucket + ": check its keys, what they may do, and the clock");
  options = s3_server().options();
  options.region = "us-east-1";
  EXPECT_EQ(error_of(options),
            "the media store answers 400 AuthorizationHeaderMalformed for bucket hearth-media in region us-east-1: check its region");
  options = s3_server().options();
  options.bucket = "no-such-bucket";
  EXPECT_EQ(error_of(options), "the media store answers 404 NoSuchBucket for bucket no-such-bucket in region eu-test-1: make the bucket");
  EXPECT_EQ(error_of(s3_server().options(), SimulatedClock()),
            "the media store answers 403 RequestTimeTooSkewed" + of_bucket + ": check its keys, what they may do, and the clock");
}

TEST_F(S3MediaStoreTest, AnAnswerThatIsNoneOfAStoreIsNotQuoted) {
  web::TestWebServer other([](web::TestAnswer& answer, const web::TestRequest&) { answer.send(500, "<Code>AKIDTEST secret/key+</Code>"); });
  options.endpoint = other.url();
  EXPECT_EQ(error_of(options), "the media store answers 500 for bucket hearth-media in region eu-test-1");
}

TEST_F(S3MediaStoreTest, ARedirectIsNotFollowed) {
  web::TestWebServer other([](web::TestAnswer& answer, const web::TestRequest&) { answer.send(200, "other"); });
  web::TestWebServer moved([&](web::TestAnswer& answer, const web::TestRequest&) { answer.redirect(307, other.url()); });
  options.endpoint = moved.url();
  EXPECT_TRUE(error_of(options).contains("answers 307"));
  EXPECT_EQ(other.connections(), 0);
}

TEST_F(S3MediaStoreTest, AStoreThatIsAwayIsUnavailable) {
  options.endpoint = web::TestWebServer([](web::TestAnswer&, const web::TestRequest&) {}).url();
  EXPECT_TRUE(error_of(options).starts_with("the media store gives no answer from 127.0.0.1:"));
}

TEST_F(S3MediaStoreTest, OptionsAreCheckedBeforeAnythingIsSent) {
  EXPECT_TRUE(check(options));
  auto field_of = [&](void (*change)(S3Options&)) {
    auto changed = s3_server().options();
    change(changed);
    auto ok = check(changed);
    return ok ? "" : ok.error().field;
  };
  EXPECT_EQ(field_of([](S3Options& o) { o.endpoint = "s3.example.com"; }), "s3_endpoint");
  EXPECT_EQ(field_of([](S3Options& o) { o.endpoint += "/?a=b"; }), "s3_endpoint");
  EXPECT_EQ(field_of([](S3Options& o) { o.endpoint = "https://key:secret@s3.example.com"; }), "s3_endpoint");
  EXPECT_EQ(field_of([](S3Options& o) { o.endpoint = "http://10.0.0.1:81/base"; }), "");
  EXPECT_EQ(field_of([](S3Options& o) { o.bucket = "ab"; }), "s3_bucket");
  EXPECT_EQ(field_of([](S3Options& o) { o.bucket = "../other"; }), "s3_bucket");
  EXPECT_EQ(field_of([](S3Options& o) { o.region = ""; }), "s3_region");
  EXPECT_EQ(field_of([](S3Options& o) { o.access_key = ""; }), "s3_access_key");
  EXPECT_EQ(field_of([](S3Options& o) { o.secret_key = ""; }), "s3_secret_key");
  for (auto* change : {+[](S3Options& o) { o.prefix = "/a/"; }, +[](S3Options& o) { o.prefix = "a//b"; },
                       +[](S3Options& o) { o.prefix = "../"; }, +[](S3Options& o) { o.prefix = "a b/"; }}) {
    EXPECT_EQ(field_of(change), "s3_prefix");
  }
  EXPECT_EQ(field_of([](S3Options& o) { o.public_url = "/media"; }), "s3_public_url");
  EXPECT_EQ(field_of([](S3Options& o) { o.public_url = "https://cdn.example/a"; }), "");
}

}  // namespace
}  // namespace hearth::media
