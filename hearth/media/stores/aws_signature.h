#pragma once

// AWS Signature Version 4: how requests to S3 and what speaks like it say who sends them.
//
// The signature covers the method, the path, the query, the headers given here and the body's hash; it holds for some minutes
// around `time`. docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"

namespace hearth::media {

struct AwsKey {
  std::string access_key;
  std::string secret_key;
  std::string region;
};

struct AwsRequest {
  std::string method;
  std::string path;                                          // percent-encoded, as it is sent
  std::string query = {};                                    // sorted and percent-encoded, with a '=' in each part
  std::vector<std::pair<std::string, std::string>> headers;  // to be signed, Host among them
  std::string_view body = {};
};

// The headers of `request` together with x-amz-date, x-amz-content-sha256 and Authorization.
std::vector<std::pair<std::string, std::string>> aws_signed_headers(const AwsRequest& request, const AwsKey& key, UtcMicros time);

// Percent-encodes all but letters, digits, '-', '.', '_', '~' and '/'.
std::string aws_encoded_path(std::string_view path);

}  // namespace hearth::media
