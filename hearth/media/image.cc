#include "hearth/media/image.h"

#include <vips/vips.h>
#include <webp/encode.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "hearth/base/assert.h"

namespace hearth::media {
namespace {

using namespace std::string_view_literals;

constexpr int kWebpQuality = 80;
constexpr int kJpegQuality = 82;
constexpr int kWebpSideMax = 16'383;  // of the format
// Passes over the image in one JPEG. Encoders make about ten; thousands fit into a small file, and each costs as much as a decode.
constexpr int kJpegScansMax = 100;
// Truncated files and those that cannot be decoded are refused. A warning is not enough: many cameras write files that deserve one.
constexpr VipsFailOn kFailOn = VIPS_FAIL_ON_ERROR;
constexpr const char* kFailOnOption = "[fail_on=error]";  // the same; libvips 8.14 takes it for thumbnails in this form only

// --- libvips ---

struct Unref {
  void operator()(VipsImage* image) const { g_object_unref(image); }
};
using Image = std::unique_ptr<VipsImage, Unref>;

// What an operation of libvips made; null if it failed. `run` takes where to put it and returns libvips's status.
template <typename Run>
Image made_by(Run run) {
  VipsImage* image = nullptr;
  int status = run(&image);
  Image made(image);
  if (status != 0) {
    vips_error_clear();  // its text is shared by all threads
    return nullptr;
  }
  return made;
}

// Strangers' bytes reach four loaders and no other. No cache of results, no thread of its own for parts of an image.
void initialise() {
  HEARTH_ASSERT(VIPS_INIT("hearth") == 0);
  vips_block_untrusted_set(TRUE);
  vips_operation_block_set("VipsForeignLoad", TRUE);
  for (const char* loader : {"VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp", "VipsForeignLoadNsgif"}) {
    vips_operation_block_set(loader, FALSE);
  }
  vips_concurrency_set(1);
  vips_cache_set_max(0);
  vips_cache_set_max_mem(0);
  vips_cache_set_max_files(0);
  // It would write warnings about strangers' files to our standard error.
  g_log_set_handler(
      "VIPS", GLogLevelFlags(G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG),
      [](const char*, GLogLevelFlags, const char*, void*) {}, nullptr);
}

void initialise_once() {
  static std::once_flag once;
  std::call_once(once, initialise);
}

// --- limits ---

// How many pixels are decoded at a time, in all threads together: a decoder may need 10 bytes for each. Others wait their turn.
class PixelBudget {
 public:
  class Share {
   public:
    Share(PixelBudget& budget, std::uint64_t pixels) : budget_(budget), pixels_(pixels) { budget_.take(pixels_); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { budget_.give_back(pixels_); }

   private:
    PixelBudget& budget_;
    std::uint64_t pixels_;
  };

 private:
  void take(std::uint64_t pixels) {
    HEARTH_ASSERT(pixels <= kPixelsMax);
    std::lock_guard turn(turn_);  // so that small ones do not pass a large one for ever
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [&] { return taken_ + pixels <= kPixelsMax; });
    taken_ += pixels;
  }
  void give_back(std::uint64_t pixels) {
    std::lock_guard lock(mutex_);
    taken_ -= pixels;
    has_room_.notify_one();
  }

  std::mutex turn_;
  std::mutex mutex_;
  std::condition_variable has_room_;
  std::uint64_t taken_ = 0;  // under mutex_
};

PixelBudget& pixel_budget() {
  static PixelBudget budget;
  return budget;
}

std::unexpected<Error> broken() {
  return fail(ErrorCode::kInvalidArgument, "the image is broken or not complete");
}

// --- reading ---

// Up to its end, in the way in which a decoder finds them.
std::size_t scans_in(std::string_view jpeg) {
  constexpr unsigned char kEscapedByte = 0x00, kTemporary = 0x01, kRestart0 = 0xd0, kRestart7 = 0xd7, kEnd = 0xd9, kScan = 0xda,
                          kFill = 0xff;
  std::size_t scans = 0;
  for (std::size_t at = 2; (at = jpeg.find('\xff', at)) != std::string_view::npos && at + 1 < jpeg.size();) {
    auto marker = static_cast<unsigned char>(jpeg[at + 1]);
    if (marker == kEnd) break;
    if (marker == kScan) ++scans;
    bool has_length = marker != kEscapedByte && marker != kTemporary && marker != kFill && (marker < kRestart0 || marker > kRestart7);
    at += marker == kFill ? 1 : 2;
    if (has_length && at + 1 < jpeg.size()) at += static_cast<unsigned char>(jpeg[at]) * 256u + static_cast<unsigned char>(jpeg[at + 1]);
  }
  return scans;
}

using Load = int (*)(void* bytes, std::size_t size, VipsImage** out, ...);

// The loader of the format that the bytes begin like; null: of none that we take.
Load loader_of(std::string_view bytes) {
  if (bytes.starts_with("\xff\xd8\xff"sv)) return vips_jpegload_buffer;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) return vips_pngload_buffer;
  if (bytes.starts_with("GIF87a"sv) || bytes.starts_with("GIF89a"sv)) return vips_gifload_buffer;
  bool is_webp = bytes.size() >= 12 && bytes.starts_with("RIFF"sv) && bytes.substr(8).starts_with("WEBP"sv);
  if (is_webp) return vips_webpload_buffer;
  return nullptr;
}

// libvips takes bytes that it only reads by a pointer to what could be changed.
void* data(std::string_view bytes) {
  return const_cast<char*>(bytes.data());
}

// Width, height and metadata; no pixel is decoded.
Result<Image> read_header(std::string_view bytes) {
  if (bytes.size() > kImageBytesMax) {
    return fail(ErrorCode::kTooLarge, "the image has more than " + std::to_string(kImageBytesMax >> 20) + " MiB");
  }
  Load load = loader_of(bytes);
  if (load == nullptr) return fail(ErrorCode::kInvalidArgument, "the image is not a JPEG, PNG, WebP or GIF");
  if (load == vips_jpegload_buffer && scans_in(bytes) > kJpegScansMax) {
    return fail(ErrorCode::kTooLarge, "the JPEG has more than " + std::to_string(kJpegScansMax) + " scans");
  }
  auto header = made_by(
      [&](VipsImage** out) { return load(data(bytes), bytes.size(), out, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", kFailOn, nullptr); });
  if (!header) return broken();
  return header;
}

Result<std::uint64_t> pixels_in(VipsImage* header) {
  auto width = static_cast<std::uint64_t>(vips_image_get_width(header));
  auto height = static_cast<std::uint64_t>(vips_image_get_height(header));
  if (width <= kSideMax && height <= kSideMax && width * height <= kPixelsMax) return width * height;
  return fail(ErrorCode::kTooLarge, "the image is " + std::to_string(width) + " × " + std::to_string(height) + " pixels; at most " +
                                        std::to_string(kSideMax) + " a side and " + std::to_string(kPixelsMax / 1'000'000) +
                                        " million in all are taken");
}

// --- what it becomes ---

struct FreePixels {
  void operator()(void* pixels) const { g_free(pixels); }
};

// The pixels of a decoded image and nothing else: no metadata can follow them, whatever a saver leaves in. 8 bits of red, green, blue
// and perhaps alpha.
struct Pixels {
  std::unique_ptr<void, FreePixels> memory;
  Image image;  // of that memory
};

// Shrunk and turned upright, not yet decoded. Decoders that can shrink while they decode will.
Image shrunk(std::string_view bytes, VipsImage* header, int side) {
  bool has_profile = vips_image_get_typeof(header, VIPS_META_ICC_NAME) != 0;
  return made_by([&](VipsImage** out) {
    // Without a profile of its own it is sRGB, grey or CMYK, and there is nothing to translate precisely.
    if (!has_profile) {
      return vips_thumbnail_buffer(data(bytes), bytes.size(), out, side, "height", side, "size", VIPS_SIZE_DOWN, "option_string",
                                   kFailOnOption, nullptr);
    }
    return vips_thumbnail_buffer(data(bytes), bytes.size(), out, side, "height", side, "size", VIPS_SIZE_DOWN, "option_string",
                                 kFailOnOption, "export_profile", "srgb", nullptr);
  });
}

std::optional<Pixels> decoded(VipsImage* source) {
  auto coloured = made_by([&](VipsImage** out) { return vips_colourspace(source, out, VIPS_INTERPRETATION_sRGB, nullptr); });
  if (!coloured) return std::nullopt;
  auto plain = made_by([&](VipsImage** out) { return vips_cast_uchar(coloured.get(), out, nullptr); });
  if (!plain || vips_image_get_bands(plain.get()) < 3 || vips_image_get_bands(plain.get()) > 4) return std::nullopt;
  Pixels pixels;
  std::size_t size = 0;
  pixels.memory.reset(vips_image_write_to_memory(plain.get(), &size));
  if (!pixels.memory) {
    vips_error_clear();
    return std::nullopt;
  }
  Image bare(vips_image_new_from_memory(pixels.memory.get(), size, vips_image_get_width(plain.get()), vips_image_get_height(plain.get()),
                                        vips_image_get_bands(plain.get()), VIPS_FORMAT_UCHAR));
  pixels.image = made_by([&](VipsImage** out) { return vips_copy(bare.get(), out, "interpretation", VIPS_INTERPRETATION_sRGB, nullptr); });
  return pixels;
}

EncodedImage made_of(ImageFormat format, const VipsImage* image, const void* bytes, std::size_t size) {
  return {.format = format,
          .width = vips_image_get_width(image),
          .height = vips_image_get_height(image),
          .bytes = std::string(static_cast<const char*>(bytes), size)};
}

// By libwebp itself: the saver of libvips 8.14 adds metadata although it is told not to.
std::optional<EncodedImage> as_webp(const Pixels& pixels) {
  VipsImage* image = pixels.image.get();
  int width = vips_image_get_width(image), height = vips_image_get_height(image), bands = vips_image_get_bands(image);
  auto* input = static_cast<const std::uint8_t*>(pixels.memory.get());
  auto encode_pixels = bands == 4 ? WebPEncodeRGBA : WebPEncodeRGB;
  std::uint8_t* bytes = nullptr;
  std::size_t size = encode_pixels(input, width, height, width * bands, kWebpQuality, &bytes);
  std::unique_ptr<std::uint8_t, void (*)(void*)> freed(bytes, WebPFree);
  if (size == 0) return std::nullopt;
  return made_of(ImageFormat::kWebp, image, bytes, size);
}

Image on_white(VipsImage* image) {
  constexpr double kWhite[] = {255, 255, 255};
  std::unique_ptr<VipsArrayDouble, void (*)(VipsArrayDouble*)> white(vips_array_double_new(kWhite, 3),
                                                                     [](VipsArrayDouble* array) { vips_area_unref(VIPS_AREA(array)); });
  return made_by([&](VipsImage** out) { return vips_flatten(image, out, "background", white.get(), nullptr); });
}

std::optional<EncodedImage> as_jpeg(const Pixels& pixels) {
  VipsImage* image = pixels.image.get();
  Image opaque;
  if (vips_image_hasalpha(image)) {
    opaque = on_white(image);
    if (!opaque) return std::nullopt;
    image = opaque.get();
  }
  void* bytes = nullptr;
  std::size_t size = 0;
  int status = vips_jpegsave_buffer(image, &bytes, &size, "Q", kJpegQuality, "strip", TRUE, "optimize_coding", TRUE, nullptr);
  std::unique_ptr<void, void (*)(void*)> freed(bytes, g_free);
  if (status != 0) {
    vips_error_clear();
    return std::nullopt;
  }
  return made_of(ImageFormat::kJpeg, image, bytes, size);
}

}  // namespace

std::string_view extension(ImageFormat format) {
  return format == ImageFormat::kWebp ? "webp" : "jpg";
}

std::string_view media_type(ImageFormat format) {
  return format == ImageFormat::kWebp ? "image/webp" : "image/jpeg";
}

Result<std::vector<EncodedImage>> encode(std::string_view bytes, int side) {
  HEARTH_ASSERT(side >= 1);
  initialise_once();
  auto header = read_header(bytes);
  if (!header) return std::unexpected(header.error());
  auto count = pixels_in(header->get());
  if (!count) return std::unexpected(count.error());

  PixelBudget::Share share(pixel_budget(), *count);
  auto small = shrunk(bytes, header->get(), std::min(side, kWebpSideMax));
  auto pixels = small ? decoded(small.get()) : std::nullopt;
  if (!pixels) return broken();
  auto webp = as_webp(*pixels);
  auto jpeg = as_jpeg(*pixels);
  if (!webp || !jpeg) return fail(ErrorCode::kInternal, "the image cannot be encoded");
  std::vector<EncodedImage> encoded;
  encoded.push_back(*std::move(webp));
  encoded.push_back(*std::move(jpeg));
  return encoded;
}

}  // namespace hearth::media
