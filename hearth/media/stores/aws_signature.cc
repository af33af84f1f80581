#include "hearth/media/stores/aws_signature.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "hearth/base/digest.h"

namespace hearth::media {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string in_lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

// "20130524T000000Z"
std::string compact_time(UtcMicros time) {
  return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count()));
}

// With names in lower case and in their order.
Headers canonical(Headers headers) {
  for (auto& [name, value] : headers) name = in_lower_case(std::move(name));
  std::ranges::sort(headers);
  return headers;
}

std::string signed_names(const Headers& headers) {
  std::string names;
  for (const auto& [name, value] : headers) names += (names.empty() ? "" : ";") + name;
  return names;
}

std::string canonical_request(const AwsRequest& request, const Headers& headers, std::string_view body_hash) {
  std::string text = request.method + "\n" + request.path + "\n" + request.query + "\n";
  for (const auto& [name, value] : headers) text += name + ":" + value + "\n";
  return text + "\n" + signed_names(headers) + "\n" + std::string(body_hash);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> aws_signed_headers(const AwsRequest& request, const AwsKey& key, UtcMicros time) {
  const auto moment = compact_time(time);
  const auto day = moment.substr(0, 8);
  const auto body_hash = sha256_hex(request.body);
  auto sent = request.headers;
  sent.emplace_back("x-amz-content-sha256", body_hash);
  sent.emplace_back("x-amz-date", moment);

  const auto headers = canonical(sent);
  const auto scope = day + "/" + key.region + "/s3/aws4_request";
  const auto to_sign = "AWS4-HMAC-SHA256\n" + moment + "\n" + scope + "\n" + sha256_hex(canonical_request(request, headers, body_hash));
  auto signing_key = "AWS4" + key.secret_key;
  for (std::string_view part :
       {std::string_view(day), std::string_view(key.region), std::string_view("s3"), std::string_view("aws4_request")}) {
    signing_key = hmac_sha256(signing_key, part);
  }
  sent.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=" + key.access_key + "/" + scope + ", SignedHeaders=" +
                                         signed_names(headers) + ", Signature=" + hmac_sha256_hex(signing_key, to_sign));
  return sent;
}

std::string aws_encoded_path(std::string_view path) {
  std::string encoded;
  for (char c : path) {
    bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-._~/").contains(c);
    encoded += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace hearth::media
