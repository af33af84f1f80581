#include "hearth/media/stores/s3_media_store.h"

#include <algorithm>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/media/image.h"
#include "hearth/media/stores/aws_signature.h"

namespace hearth::media {
namespace {

constexpr std::chrono::seconds kTimeout{30};
constexpr std::size_t kPrefixBytesMax = 200;
constexpr std::size_t kErrorCodeBytesMax = 64;
// A name's bytes never change.
constexpr const char* kCacheControl = "public, max-age=31536000, immutable";

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool has_only(std::string_view text, std::string_view marks) {
  return std::ranges::all_of(text, [marks](char c) { return is_letter_or_digit(c) || marks.contains(c); });
}

void drop_last_slash(std::string& text) {
  if (text.ends_with('/')) text.pop_back();
}

// The store's word for what is wrong, "NoSuchBucket"; nothing else of its answer, which may quote what was signed.
std::string error_code(const web::WebResponse& response) {
  constexpr std::string_view kBegin = "<Code>", kEnd = "</Code>";
  auto begin = response.body.find(kBegin);
  if (begin == std::string::npos) return {};
  begin += kBegin.size();
  auto end = response.body.find(kEnd, begin);
  if (end == std::string::npos || end - begin > kErrorCodeBytesMax) return {};
  auto code = response.body.substr(begin, end - begin);
  return has_only(code, "") ? code : std::string();
}

std::unexpected<Error> refused(const S3Options& options, const web::WebResponse& response) {
  auto code = error_code(response);
  std::string message = "the media store answers " + std::to_string(response.status) + (code.empty() ? "" : " " + code) + " for bucket " +
                        options.bucket + " in region " + options.region;
  if (response.status == 401 || response.status == 403) message += ": check its keys, what they may do, and the clock";
  if (response.status == 301 || response.status == 400) message += ": check its region";
  if (code == "NoSuchBucket") message += ": make the bucket";
  return fail(ErrorCode::kUnavailable, std::move(message));
}

}  // namespace

Result<void> check(const S3Options& options) {
  auto endpoint = web::parse_url(options.endpoint, "s3_endpoint");
  if (!endpoint) return std::unexpected(endpoint.error());
  if (endpoint->path.contains('?')) return invalid("s3_endpoint", "s3_endpoint must have no query");
  bool is_bucket = options.bucket.size() >= 3 && options.bucket.size() <= 63 && has_only(options.bucket, "-._") &&
                   is_letter_or_digit(options.bucket.front());
  if (!is_bucket) return invalid("s3_bucket", "s3_bucket must be 3 to 63 letters, digits, '-', '.' and '_'");
  if (options.region.empty() || !has_only(options.region, "-")) return invalid("s3_region", "s3_region must be letters, digits and '-'");
  if (options.access_key.empty() || !has_only(options.access_key, "-._~+=@"))
    return invalid("s3_access_key", "s3_access_key must be given");
  if (options.secret_key.empty()) return invalid("s3_secret_key", "s3_secret_key must be given");
  bool is_prefix = options.prefix.size() <= kPrefixBytesMax && has_only(options.prefix, "-._/") && !options.prefix.starts_with('/') &&
                   !options.prefix.contains("//") && !options.prefix.contains("./");
  if (!is_prefix) return invalid("s3_prefix", "s3_prefix must be like images/: letters, digits, '-', '.', '_' and '/'");
  if (options.public_url.empty()) return {};
  auto public_url = web::parse_url(options.public_url, "s3_public_url");
  if (!public_url) return std::unexpected(public_url.error());
  if (public_url->path.contains('?')) return invalid("s3_public_url", "s3_public_url must have no query");
  return {};
}

S3MediaStore::S3MediaStore(S3Options options, web::WebClient& web, const Clock& clock)
    : options_(std::move(options)), web_(web), clock_(clock) {
  HEARTH_ASSERT(check(options_));
  bucket_ = *web::parse_url(options_.endpoint, "s3_endpoint");
  drop_last_slash(bucket_.path);
  bucket_.path += "/" + options_.bucket;
  drop_last_slash(options_.public_url);
}

Result<web::WebResponse> S3MediaStore::send(web::WebRequest request, std::string_view name) {
  auto url = bucket_;
  url.path += "/" + aws_encoded_path(options_.prefix + std::string(name));
  request.headers.emplace_back("Host", url.authority());
  AwsRequest to_sign{.method = request.method, .path = url.path, .headers = std::move(request.headers), .body = request.body};
  AwsKey key{.access_key = options_.access_key, .secret_key = options_.secret_key, .region = options_.region};
  request.headers = aws_signed_headers(to_sign, key, clock_.now());
  // Not signed: what stands between may change it.
  if (request.method == "PUT") request.headers.emplace_back("Cache-Control", kCacheControl);
  request.url = url.text();
  request.timeout = kTimeout;
  request.answer_bytes_max = kImageBytesMax;
  request.allows_private = true;
  auto response = web_.send(request);
  if (!response) return fail(ErrorCode::kUnavailable, "the media store gives " + response.error().message);
  return response;
}

Result<std::string> S3MediaStore::put(std::string_view name, std::string_view bytes, std::string_view media_type) {
  HEARTH_ASSERT(is_media_name(name) && bytes.size() <= kImageBytesMax);
  web::WebRequest request{.method = "PUT", .url = {}, .headers = {{"Content-Type", std::string(media_type)}}, .body = std::string(bytes)};
  auto response = send(std::move(request), name);
  if (!response) return std::unexpected(response.error());
  if (response->status < 200 || response->status > 299) return refused(options_, *response);
  if (options_.public_url.empty()) return "/media/" + std::string(name);
  return options_.public_url + "/" + aws_encoded_path(options_.prefix + std::string(name));
}

Result<std::optional<StoredMedia>> S3MediaStore::get(std::string_view name) {
  if (!is_media_name(name)) return std::nullopt;
  auto response = send({.method = "GET", .url = {}}, name);
  if (!response) return std::unexpected(response.error());
  if (response->status == 404 && error_code(*response) != "NoSuchBucket") return std::nullopt;
  if (response->status != 200) return refused(options_, *response);
  return StoredMedia{.bytes = std::move(response->body), .media_type = std::string(media_type_of(name))};
}

}  // namespace hearth::media
