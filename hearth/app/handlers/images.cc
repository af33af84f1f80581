#include "hearth/app/handlers/images.h"

#include <utility>
#include <vector>

#include "hearth/base/json_writer.h"
#include "hearth/media/image.h"

namespace hearth::app {
namespace {

constexpr std::chrono::milliseconds kFetchTimeout{30'000};
constexpr int kRedirectsMax = 3;

struct StoredImage {
  media::EncodedImage image;  // without its bytes
  std::string url;
};

// What will fail again however often it is tried: the image is bad, or may not be fetched.
jobs::Failed failed(const Error& error) {
  bool is_final = error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kTooLarge || error.code == ErrorCode::kForbidden;
  return {.error = error.message, .is_final = is_final};
}

Result<std::string> fetch(const BuiltInParts& parts, const std::string& url, const jobs::JobRun& run) {
  auto response = parts.web.send({.url = url,
                                  .timeout = kFetchTimeout,
                                  .answer_bytes_max = media::kImageBytesMax,
                                  .redirects_max = kRedirectsMax,
                                  .allows_private = parts.fetches_private},
                                 run.stop);
  if (!response) return std::unexpected(response.error());
  if (response->status == 200) return std::move(response->body);
  std::string said = "the image's server answered " + std::to_string(response->status);
  bool is_gone = response->status == 404 || response->status == 410;
  return fail(is_gone ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable, said);
}

Result<std::vector<StoredImage>> encode_and_store(const BuiltInParts& parts, std::string_view bytes, int side) {
  auto encoded = media::encode(bytes, side);
  if (!encoded) return std::unexpected(encoded.error());
  std::vector<StoredImage> stored;
  for (auto& image : *encoded) {
    auto name = media::media_name(image.bytes, media::extension(image.format));
    auto url = parts.media.put(name, image.bytes, media::media_type(image.format));
    if (!url) return std::unexpected(url.error());
    image.bytes.clear();
    stored.push_back({std::move(image), *std::move(url)});
  }
  return stored;
}

void write_images(JsonWriter& json, const std::vector<StoredImage>& images) {
  json.begin_array();
  for (const auto& [image, url] : images) {
    json.begin_object().field("url", url).field("mediaType", media::media_type(image.format));
    json.field("width", image.width).field("height", image.height).end_object();
  }
  json.end_array();
}

}  // namespace

jobs::Outcome process_image(const BuiltInParts& parts, const ProcessImage& payload, const jobs::JobRun& run) {
  auto bytes = fetch(parts, payload.image_url, run);
  if (!bytes) return failed(bytes.error());
  auto images = encode_and_store(parts, *bytes, kPostImageSide);
  if (!images) return failed(images.error());

  std::vector<std::string> urls;
  for (const auto& image : *images) urls.push_back(image.url);
  std::string result;
  JsonWriter json(result);
  json.begin_object().key("images");
  write_images(json, *images);
  json.end_object();
  // A post that has another image by now, or is gone, keeps what it has: that image has a job of its own.
  return jobs::Completed{.result = std::move(result),
                         .effect = [&content = parts.content, payload, urls = std::move(urls)](SqlTransaction transaction) -> Result<void> {
                           auto is_set = content.set_media(transaction, payload.post, payload.image_url, urls);
                           if (!is_set) return std::unexpected(is_set.error());
                           return {};
                         }};
}

jobs::Outcome generate_thumbnail(const BuiltInParts& parts, const GenerateThumbnail& payload, const jobs::JobRun& run) {
  auto bytes = fetch(parts, payload.image_url, run);
  if (!bytes) return failed(bytes.error());
  std::string result;
  JsonWriter json(result);
  json.begin_object().key("thumbnails").begin_array();
  for (int size : payload.sizes) {
    if (run.stop.stop_requested()) return jobs::Failed{.error = "stopped"};
    auto images = encode_and_store(parts, *bytes, size);
    if (!images) return failed(images.error());
    json.begin_object().field("size", size).key("images");
    write_images(json, *images);
    json.end_object();
  }
  json.end_array().end_object();
  return jobs::Completed{.result = std::move(result)};
}

}  // namespace hearth::app
