// Images as strangers upload them: bytes → encode().
//
// Besides not crashing, it must hold that what comes out is a WebP and a JPEG of one size within the side asked for, that
// encode() takes its own output again, and that a refusal is one of those it promises.
//
// libvips and the decoders under it are not instrumented: the search sees our own code only, and theirs by its crashes.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hearth/base/assert.h"
#include "hearth/media/image.h"

namespace hearth::media {
namespace {

constexpr int kSide = 32;

bool is_refusal(const Error& error) {
  return error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kTooLarge;
}

void check(std::string_view bytes) {
  auto images = encode(bytes, kSide);
  HEARTH_ASSERT(images || is_refusal(images.error()));
  if (!images) return;
  HEARTH_ASSERT(images->size() == 2 && images->at(0).format == ImageFormat::kWebp && images->at(1).format == ImageFormat::kJpeg);
  for (const auto& image : *images) {
    HEARTH_ASSERT(image.width >= 1 && image.width <= kSide && image.height >= 1 && image.height <= kSide);
    HEARTH_ASSERT(image.width == images->front().width && image.height == images->front().height);
    auto again = encode(image.bytes, kSide);
    HEARTH_ASSERT(again && again->front().width == image.width && again->front().height == image.height);
  }
}

}  // namespace
}  // namespace hearth::media

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hearth::media::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
