#pragma once

// Images: decoding what strangers upload, and encoding what pages show.
//
// libvips (Debian) does the work. The bytes are not trusted: formats are JPEG, PNG, WebP and GIF by their content, whatever
// they are called; width, height and pixels are read from the header and checked before anything is decoded; broken files are
// errors, as far as their format can tell (a JPEG has no checksums). No temporary files. All threads together decode kPixelsMax pixels
// at a time, at up to 10 bytes each; further ones wait. Blocking; thread-safe.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::media {

inline constexpr std::size_t kImageBytesMax = 20 << 20;
inline constexpr std::uint64_t kPixelsMax = 50'000'000;  // of one frame
inline constexpr int kSideMax = 16'384;
inline constexpr int kThumbnailSidesMax = 10;  // sizes of one request
inline constexpr int kThumbnailSideMax = 2'048;

enum class ImageFormat : std::uint8_t { kWebp, kJpeg };
std::string_view extension(ImageFormat format);   // "webp", "jpg"
std::string_view media_type(ImageFormat format);  // "image/webp", "image/jpeg"

struct EncodedImage {
  ImageFormat format = ImageFormat::kWebp;
  int width = 0;
  int height = 0;
  std::string bytes;
};

// The image turned upright, without metadata, in sRGB, not wider nor higher than `side` (never enlarged), as WebP with its
// transparency and as JPEG on white; of an animation the first frame.
// kInvalidArgument: not an image that we take, or broken. kTooLarge: over a limit. The message says which, for people.
// REQUIRES: side >= 1.
Result<std::vector<EncodedImage>> encode(std::string_view bytes, int side);

}  // namespace hearth::media
