#include "hearth/media/stores/aws_signature.h"

#include <gtest/gtest.h>

#include <chrono>

namespace hearth::media {
namespace {

// The worked examples of Amazon's documentation, "Authenticating Requests: Using the Authorization Header".
const AwsKey kKey{.access_key = "AKIAIOSFODNN7EXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", .region = "us-east-1"};
constexpr UtcMicros kTime(std::chrono::sys_days(std::chrono::year(2013) / 5 / 24));
const std::pair<std::string, std::string> kHost = {"Host", "examplebucket.s3.amazonaws.com"};

std::string header(const AwsRequest& request, std::string_view name) {
  for (const auto& [key, value] : aws_signed_headers(request, kKey, kTime)) {
    if (key == name) return value;
  }
  return {};
}

std::string authorization(std::string_view names, std::string_view signature) {
  return "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=" + std::string(names) +
         ", Signature=" + std::string(signature);
}

TEST(AwsSignature, GetObject) {
  AwsRequest request{.method = "GET", .path = "/test.txt", .headers = {kHost, {"Range", "bytes=0-9"}}};
  EXPECT_EQ(header(request, "Authorization"), authorization("host;range;x-amz-content-sha256;x-amz-date",
                                                            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
  EXPECT_EQ(header(request, "x-amz-date"), "20130524T000000Z");
  EXPECT_EQ(header(request, "x-amz-content-sha256"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(header(request, "Range"), "bytes=0-9");
}

TEST(AwsSignature, PutObject) {
  AwsRequest request{.method = "PUT",
                     .path = aws_encoded_path("/test$file.text"),
                     .headers = {kHost, {"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                     .body = "Welcome to Amazon S3."};
  EXPECT_EQ(header(request, "Authorization"), authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                                                            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST(AwsSignature, GetBucketLifecycle) {
  AwsRequest request{.method = "GET", .path = "/", .query = "lifecycle=", .headers = {kHost}};
  EXPECT_EQ(header(request, "Authorization"),
            authorization("host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST(AwsSignature, ListObjects) {
  AwsRequest request{.method = "GET", .path = "/", .query = "max-keys=2&prefix=J", .headers = {kHost}};
  EXPECT_EQ(header(request, "Authorization"),
            authorization("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(AwsSignature, PathsAreEncodedOnce) {
  EXPECT_EQ(aws_encoded_path("/a b/c+d~e_f-g.h/\xc3\xa4%!"), "/a%20b/c%2Bd~e_f-g.h/%C3%A4%25%21");
}

}  // namespace
}  // namespace hearth::media
