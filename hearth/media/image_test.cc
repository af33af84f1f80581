#include "hearth/media/image.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <vips/vips.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/crc.hpp>
#include <cmath>
#include <memory>
#include <random>
#include <thread>

namespace hearth::media {
namespace {

using namespace std::string_literals;

using Colour = std::array<int, 4>;  // red, green, blue, alpha
constexpr Colour kRed{230, 20, 20, 255}, kGreen{20, 200, 20, 255}, kBlue{20, 20, 230, 255}, kYellow{230, 230, 20, 255};
constexpr Colour kClear{0, 0, 0, 0}, kWhite{255, 255, 255, 255}, kGrey{128, 128, 128, 255};

struct Unref {
  void operator()(VipsImage* image) const { g_object_unref(image); }
};
using Image = std::unique_ptr<VipsImage, Unref>;

// --- files to encode: made by the saving half of libvips, which encode() uses for its own output only ---

using Corners = std::array<Colour, 4>;  // top left, top right, bottom left, bottom right
constexpr Corners kCorners = {kRed, kGreen, kBlue, kYellow};

void ok(int status) {
  ASSERT_EQ(status, 0) << vips_error_buffer();
}

template <typename Make>
Image made(Make make) {
  VipsImage* image = nullptr;
  ok(make(&image));
  return Image(image);
}

// Four quarters of one colour each; `bands` 3 or 4.
Image quarters(int width, int height, int bands, const Corners& corners = kCorners) {
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::size_t row = y < height / 2 ? 0 : 2, column = x < width / 2 ? 0 : 1;
      const auto& colour = corners[row + column];
      for (int band = 0; band < bands; ++band) pixels.push_back(static_cast<std::uint8_t>(colour[static_cast<std::size_t>(band)]));
    }
  }
  Image image(vips_image_new_from_memory_copy(pixels.data(), pixels.size(), width, height, bands, VIPS_FORMAT_UCHAR));
  auto coloured = made([&](VipsImage** out) { return vips_copy(image.get(), out, "interpretation", VIPS_INTERPRETATION_sRGB, nullptr); });
  return Image(vips_image_copy_memory(coloured.get()));
}

std::string file(VipsImage* image, const char* format) {
  void* bytes = nullptr;
  std::size_t size = 0;
  ok(vips_image_write_to_buffer(image, format, &bytes, &size, nullptr));
  std::string text(static_cast<const char*>(bytes), size);
  g_free(bytes);
  return text;
}

// --- parts of files, by hand ---

std::string number(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8), static_cast<char>(value)};
}
std::string chunk(const std::string& type, const std::string& data) {
  auto body = type + data;
  boost::crc_32_type sum;
  sum.process_bytes(body.data(), body.size());
  return number(static_cast<std::uint32_t>(data.size())) + body + number(sum.checksum());
}
// `png` with one more chunk, behind its header.
std::string with_chunk(const std::string& png, const std::string& type, const std::string& data) {
  constexpr std::size_t kAfterHeader = 8 + 25;
  return png.substr(0, kAfterHeader) + chunk(type, data) + png.substr(kAfterHeader);
}
// With that orientation: libvips writes none into a PNG.
std::string png_turned(const std::string& png, int orientation) {
  return with_chunk(png, "eXIf",
                    "MM\0*\0\0\0\x08"s + "\0\x01"s + "\x01\x12\0\x03\0\0\0\x01\0"s + static_cast<char>(orientation) + "\0\0\0\0\0\0"s);
}

// --- what came out ---

// A decoded picture.
class Picture {
 public:
  explicit Picture(const std::string& bytes) : image_(vips_image_new_from_buffer(bytes.data(), bytes.size(), "", nullptr)) {
    EXPECT_NE(image_, nullptr) << vips_error_buffer();
  }
  int width() const { return vips_image_get_width(image_.get()); }
  int height() const { return vips_image_get_height(image_.get()); }
  int bands() const { return vips_image_get_bands(image_.get()); }
  bool has(const char* field) const { return vips_image_get_typeof(image_.get(), field) != 0; }

  Colour at(double x, double y) const {
    double* values = nullptr;
    int count = 0;
    ok(vips_getpoint(image_.get(), &values, &count, static_cast<int>(x * (width() - 1)), static_cast<int>(y * (height() - 1)), nullptr));
    Colour colour{0, 0, 0, 255};
    for (int i = 0; i < count; ++i) colour[static_cast<std::size_t>(i)] = static_cast<int>(values[i]);
    g_free(values);
    return colour;
  }
  // In the middle of each quarter, where lossy formats are true.
  Corners corners() const { return {at(.25, .25), at(.75, .25), at(.25, .75), at(.75, .75)}; }

 private:
  Image image_;
};

bool is_near(const Colour& one, const Colour& two, int tolerance) {
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (std::abs(one[i] - two[i]) > tolerance) return false;
  }
  return true;
}

std::string text(const Colour& c) {
  return std::to_string(c[0]) + "," + std::to_string(c[1]) + "," + std::to_string(c[2]) + "," + std::to_string(c[3]);
}

void expect_near(const Colour& colour, const Colour& wanted, const std::string& what, int tolerance = 8) {
  EXPECT_TRUE(is_near(colour, wanted, tolerance)) << what << ": " << text(colour) << ", not " << text(wanted);
}

class ImageTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(VIPS_INIT("hearth-test"), 0);
    (void)encode("", 1);  // sets libvips as it will be while the tests make their files
  }

  static std::vector<EncodedImage> encoded(const std::string& bytes, int side = 100) {
    auto images = encode(bytes, side);
    EXPECT_TRUE(images) << images.error().message;
    return images ? *std::move(images) : std::vector<EncodedImage>(2);
  }
  // Both encodings have that size and these corners.
  static void expect_picture(const std::string& bytes, int side, int width, int height, const Corners& corners, const std::string& what,
                             int tolerance = 8) {
    auto images = encoded(bytes, side);
    ASSERT_EQ(images.size(), 2u);
    for (const auto& image : images) {
      auto where = what + " as " + std::string(extension(image.format));
      Picture picture(image.bytes);
      EXPECT_EQ(picture.width(), width) << where;
      EXPECT_EQ(picture.height(), height) << where;
      EXPECT_EQ(image.width, width) << where;
      EXPECT_EQ(image.height, height) << where;
      for (std::size_t i = 0; i < corners.size(); ++i) expect_near(picture.corners()[i], corners[i], where + std::to_string(i), tolerance);
    }
  }
  static ErrorCode code_of(std::string_view bytes, std::string* message = nullptr) {
    auto images = encode(bytes, 100);
    EXPECT_FALSE(images) << "taken";
    if (message != nullptr && !images) *message = images.error().message;
    return images ? ErrorCode::kInternal : images.error().code;
  }
};

TEST_F(ImageTest, IsWebpAndJpeg) {
  auto images = encoded(file(quarters(64, 48, 3).get(), ".png"));
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[0].format, ImageFormat::kWebp);
  EXPECT_TRUE(images[0].bytes.starts_with("RIFF") && images[0].bytes.substr(8, 4) == "WEBP");
  EXPECT_EQ(images[1].format, ImageFormat::kJpeg);
  EXPECT_TRUE(images[1].bytes.starts_with("\xff\xd8\xff"));
  EXPECT_EQ(extension(ImageFormat::kWebp), "webp");
  EXPECT_EQ(media_type(ImageFormat::kJpeg), "image/jpeg");
}

TEST_F(ImageTest, EachFormatThatIsTaken) {
  for (const char* format :
       {".png", ".png[interlace]", ".png[palette]", ".jpg[Q=95]", ".jpg[interlace,Q=95]", ".webp[Q=95]", ".webp[lossless]", ".gif"}) {
    expect_picture(file(quarters(80, 60, 3).get(), format), 100, 80, 60, kCorners, format, 14);
  }
}

struct SizeCase {
  int width, height, side, wanted_width, wanted_height;
};

TEST_F(ImageTest, FitsIntoTheSideAndIsNeverEnlarged) {
  for (const auto& c :
       {SizeCase{80, 60, 80, 80, 60}, SizeCase{80, 60, 1'000, 80, 60}, SizeCase{80, 60, 40, 40, 30}, SizeCase{60, 80, 40, 30, 40},
        SizeCase{801, 600, 400, 400, 300}, SizeCase{1'600, 1'200, 20, 20, 15}, SizeCase{1, 1, 1, 1, 1}, SizeCase{64, 64, 16'384, 64, 64},
        SizeCase{2'000, 1, 100, 100, 1}, SizeCase{1, 2'000, 100, 1, 100}, SizeCase{3, 2, 1, 1, 1}}) {
    for (const char* format : {".png", ".jpg[Q=95]", ".webp[lossless]"}) {
      for (const auto& image : encoded(file(quarters(c.width, c.height, 3).get(), format), c.side)) {
        EXPECT_EQ(image.width, c.wanted_width) << c.width << "x" << c.height << format;
        EXPECT_EQ(image.height, c.wanted_height) << c.width << "x" << c.height << format;
      }
    }
  }
}

// What each value of the tag says about the stored rows and columns (TIFF 6.0, page 36), as the corners that one sees.
TEST_F(ImageTest, IsTurnedUpright) {
  const Corners seen[] = {{kRed, kGreen, kBlue, kYellow}, {kGreen, kRed, kYellow, kBlue}, {kYellow, kBlue, kGreen, kRed},
                          {kBlue, kYellow, kRed, kGreen}, {kRed, kBlue, kGreen, kYellow}, {kBlue, kRed, kYellow, kGreen},
                          {kYellow, kGreen, kBlue, kRed}, {kGreen, kYellow, kRed, kBlue}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    auto image = quarters(320, 160, 3);
    auto png = png_turned(file(image.get(), ".png"), orientation);
    vips_image_set_int(image.get(), VIPS_META_ORIENTATION, orientation);
    int number_of_file = 0;
    for (const auto& bytes : {file(image.get(), ".jpg[Q=95]"), file(image.get(), ".webp[lossless]"), png}) {
      bool is_turned = orientation >= 5;
      const auto& corners = seen[orientation - 1];
      auto what = "orientation " + std::to_string(orientation) + ", file " + std::to_string(++number_of_file);
      expect_picture(bytes, 1'000, is_turned ? 160 : 320, is_turned ? 320 : 160, corners, what);
      expect_picture(bytes, 160, is_turned ? 80 : 160, is_turned ? 160 : 80, corners, what + " shrunk");
    }
  }
}

TEST_F(ImageTest, TransparencyStaysInWebpAndIsWhiteInJpeg) {
  const Corners corners = {kRed, kClear, kClear, kYellow};
  for (const char* format : {".png", ".webp[lossless]", ".gif", ".png[palette]", ".png[interlace]"}) {
    for (int side : {1'000, 30}) {
      auto images = encoded(file(quarters(60, 60, 4, corners).get(), format), side);
      Picture webp(images[0].bytes), jpeg(images[1].bytes);
      EXPECT_EQ(webp.bands(), 4) << format;
      EXPECT_EQ(jpeg.bands(), 3) << format;
      expect_near(webp.corners()[0], kRed, format, 14);
      EXPECT_EQ(webp.corners()[1][3], 0) << format;
      expect_near(jpeg.corners()[0], kRed, format, 14);
      expect_near(jpeg.corners()[1], kWhite, format, 14);
      expect_near(jpeg.corners()[3], kYellow, format, 14);
    }
  }
}

TEST_F(ImageTest, HalfTransparentIsMixedWithWhite) {
  const Colour half{0, 0, 0, 128};
  auto images = encoded(file(quarters(40, 40, 4, {half, half, half, half}).get(), ".png"));
  expect_near(Picture(images[0].bytes).at(.5, .5), half, "webp");
  expect_near(Picture(images[1].bytes).at(.5, .5), {127, 127, 127, 255}, "jpeg");
}

TEST_F(ImageTest, OfAnAnimationTheFirstFrameIsTaken) {
  auto first = quarters(40, 30, 3), second = quarters(40, 30, 3, {kBlue, kBlue, kBlue, kBlue});
  for (const char* format : {".gif", ".webp[lossless]"}) {
    VipsImage* frames[] = {first.get(), second.get(), second.get()};
    auto roll = made([&](VipsImage** out) { return vips_arrayjoin(frames, out, 3, "across", 1, nullptr); });
    vips_image_set_int(roll.get(), VIPS_META_PAGE_HEIGHT, 30);
    expect_picture(file(roll.get(), format), 100, 40, 30, kCorners, format, 14);
  }
}

// --- colours ---

TEST_F(ImageTest, GreyIsGrey) {
  auto colour = quarters(60, 40, 3, {kGrey, kWhite, kWhite, kGrey});
  auto grey = made([&](VipsImage** out) { return vips_colourspace(colour.get(), out, VIPS_INTERPRETATION_B_W, nullptr); });
  for (const char* format : {".png", ".jpg[Q=95]", ".png[bitdepth=1]"}) {
    auto wanted = std::string_view(format).contains("=1") ? kWhite : kGrey;
    for (const auto& image : encoded(file(grey.get(), format))) {
      Picture picture(image.bytes);
      EXPECT_EQ(picture.bands(), 3) << format;
      expect_near(picture.corners()[0], wanted, format, 10);
      expect_near(picture.corners()[1], kWhite, format);
    }
  }
  auto alpha = made([&](VipsImage** out) { return vips_bandjoin_const1(grey.get(), out, 0, nullptr); });
  auto images = encoded(file(alpha.get(), ".png"));
  EXPECT_EQ(Picture(images[0].bytes).at(.5, .5)[3], 0);
  expect_near(Picture(images[1].bytes).at(.5, .5), kWhite, "grey with alpha");
}

TEST_F(ImageTest, SixteenBitsBecomeEight) {
  for (int bands : {3, 4}) {
    auto image = quarters(240, 160, bands);
    auto wide = made([&](VipsImage** out) { return vips_colourspace(image.get(), out, VIPS_INTERPRETATION_RGB16, nullptr); });
    for (const char* format : {".png", ".png[interlace]"}) {
      for (int side : {1'000, 120}) {
        expect_picture(file(wide.get(), format), side, side == 120 ? 120 : 240, side == 120 ? 80 : 160, kCorners, "16 bits");
      }
    }
  }
}

// Ink is no light: what matters is that nothing is inverted.
TEST_F(ImageTest, CmykBecomesWhatOneSees) {
  auto image = quarters(60, 40, 3, {kRed, kWhite, kBlue, {0, 0, 0, 255}});
  auto inks = made([&](VipsImage** out) {
    return vips_icc_export(
        made([&](VipsImage** lab) { return vips_colourspace(image.get(), lab, VIPS_INTERPRETATION_LAB, nullptr); }).get(), out,
        "output_profile", "cmyk", nullptr);
  });
  ASSERT_EQ(vips_image_get_bands(inks.get()), 4);
  auto with_profile = file(inks.get(), ".jpg[Q=95]");
  ASSERT_TRUE(with_profile.contains("ICC_PROFILE"));
  auto bare = made([&](VipsImage** out) { return vips_copy(inks.get(), out, nullptr); });
  vips_image_remove(bare.get(), VIPS_META_ICC_NAME);
  for (const auto& bytes : {with_profile, file(bare.get(), ".jpg[Q=95]")}) {
    for (const auto& encoded_image : encoded(bytes)) {
      Picture picture(encoded_image.bytes);
      EXPECT_EQ(picture.bands(), 3);
      auto corners = picture.corners();
      EXPECT_TRUE(corners[0][0] > 180 && corners[0][1] < 90 && corners[0][2] < 90) << text(corners[0]);
      expect_near(corners[1], kWhite, "white", 12);
      EXPECT_TRUE(corners[2][0] < 100 && corners[2][1] < 110 && corners[2][2] > 110) << text(corners[2]);
      expect_near(corners[3], {0, 0, 0, 255}, "black", 60);
    }
  }
}

// What the numbers of Display P3 look like in sRGB, from the primaries of both (SMPTE EG 432-1, IEC 61966-2-1).
Colour from_p3(const Colour& colour) {
  auto linear = [](int value) { return value <= 10 ? value / 255. / 12.92 : std::pow((value / 255. + .055) / 1.055, 2.4); };
  auto curved = [](double value) {
    value = std::clamp(value, 0., 1.);
    return static_cast<int>(std::lround(255 * (value <= .0031308 ? 12.92 * value : 1.055 * std::pow(value, 1 / 2.4) - .055)));
  };
  double r = linear(colour[0]), g = linear(colour[1]), b = linear(colour[2]);
  return {curved(1.2249 * r - .2247 * g), curved(-.0420 * r + 1.0419 * g), curved(-.0197 * r - .0786 * g + 1.0979 * b), 255};
}

TEST_F(ImageTest, AnEmbeddedProfileIsTranslatedToSrgb) {
  const Corners corners = {Colour{200, 60, 60, 255}, Colour{60, 180, 60, 255}, Colour{70, 70, 200, 255}, kGrey};
  Corners wanted;
  for (std::size_t i = 0; i < corners.size(); ++i) wanted[i] = from_p3(corners[i]);
  ASSERT_FALSE(is_near(corners[0], wanted[0], 14)) << text(wanted[0]);
  auto image = quarters(60, 40, 3, corners);
  VipsBlob* profile = nullptr;
  ok(vips_profile_load("p3", &profile, nullptr));
  std::size_t size = 0;
  const void* bytes = vips_blob_get(profile, &size);
  vips_image_set_blob_copy(image.get(), VIPS_META_ICC_NAME, bytes, size);
  vips_area_unref(VIPS_AREA(profile));
  for (const char* format : {".png", ".jpg[Q=98]", ".webp[lossless]"})
    expect_picture(file(image.get(), format), 100, 60, 40, wanted, format, 8);
}

TEST_F(ImageTest, ABrokenProfileIsNoReasonToRefuse) {
  auto image = quarters(60, 40, 3);
  vips_image_set_blob_copy(image.get(), VIPS_META_ICC_NAME, "no profile at all", 17);
  auto bytes = file(quarters(60, 40, 3).get(), ".webp[lossless]");
  expect_picture(bytes, 100, 60, 40, kCorners, "plain");
  auto images = encode(file(image.get(), ".jpg[Q=95]"), 100);
  ASSERT_TRUE(images) << images.error().message;
  expect_near(Picture((*images)[1].bytes).corners()[0], kRed, "broken profile", 14);
}

// --- metadata ---

TEST_F(ImageTest, NothingIsLeftOfTheMetadata) {
  auto image = quarters(60, 40, 3);
  const std::string secret = "the place where Ada lives";
  vips_image_set_string(image.get(), "exif-ifd0-Copyright", (secret + " (" + secret + ", ASCII, 26 components, 26 bytes)").c_str());
  vips_image_set_string(image.get(), "exif-ifd3-GPSLatitudeRef", "N (N, ASCII, 2 components, 2 bytes)");
  vips_image_set_int(image.get(), VIPS_META_ORIENTATION, 6);
  vips_image_set_blob_copy(image.get(), VIPS_META_XMP_NAME, secret.data(), secret.size());
  VipsBlob* profile = nullptr;
  ok(vips_profile_load("p3", &profile, nullptr));
  std::size_t size = 0;
  const void* profile_bytes = vips_blob_get(profile, &size);
  vips_image_set_blob_copy(image.get(), VIPS_META_ICC_NAME, profile_bytes, size);
  vips_area_unref(VIPS_AREA(profile));

  for (const char* format : {".jpg", ".webp", ".png"}) {
    auto bytes = file(image.get(), format);
    if (bytes.starts_with("\x89PNG")) bytes = with_chunk(png_turned(bytes, 6), "tEXt", "Comment\0"s + secret);
    ASSERT_TRUE(bytes.contains(secret)) << format;
    for (int side : {1'000, 20}) {
      for (const auto& encoded_image : encoded(bytes, side)) {
        Picture picture(encoded_image.bytes);
        for (const char* field :
             {VIPS_META_EXIF_NAME, VIPS_META_XMP_NAME, VIPS_META_ICC_NAME, VIPS_META_IPTC_NAME, VIPS_META_ORIENTATION}) {
          EXPECT_FALSE(picture.has(field)) << format << field;
        }
        for (const auto& trace : {secret, "Exif"s, "EXIF"s, "XMP"s, "ICC"s, "xap"s, "VIPS"s, "vips"s}) {
          EXPECT_FALSE(encoded_image.bytes.contains(trace)) << format << " " << trace;
        }
      }
    }
  }
}

// --- what is not taken ---

// A PNG that says it is of that size, with next to nothing in it.
std::string png_that_says(std::uint32_t width, std::uint32_t height) {
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", number(width) + number(height) + "\x08\x06\0\0\0"s) +
         chunk("IDAT", "\x78\x9c\x63\0\0\0\x01\0\x01"s) + chunk("IEND", "");
}
std::string gif_that_says(int width, int height, int frames = 1) {
  auto side = [](int value) { return std::string{static_cast<char>(value), static_cast<char>(value >> 8)}; };
  auto bytes = "GIF89a" + side(width) + side(height) + "\x80\0\0"s + "\0\0\0\xff\xff\xff"s;
  for (int i = 0; i < frames; ++i) bytes += ","s + "\0\0\0\0"s + side(width) + side(height) + "\0\x02\x02\x44\x01\0"s;
  return bytes + ";";
}

long memory_peak_kib() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_F(ImageTest, AnImageThatSaysItIsHugeIsRefusedBeforeAnythingIsDecoded) {
  long before = memory_peak_kib();
  std::string message;
  EXPECT_EQ(code_of(png_that_says(50'000, 50'000), &message), ErrorCode::kTooLarge);
  EXPECT_EQ(message, "the image is 50000 × 50000 pixels; at most 16384 a side and 50 million in all are taken");
  EXPECT_EQ(code_of(png_that_says(16'385, 1)), ErrorCode::kTooLarge);
  EXPECT_EQ(code_of(png_that_says(1, 16'385)), ErrorCode::kTooLarge);
  EXPECT_EQ(code_of(png_that_says(7'072, 7'072)), ErrorCode::kTooLarge);
  EXPECT_EQ(code_of(gif_that_says(65'535, 65'535)), ErrorCode::kTooLarge);
  EXPECT_EQ(code_of(gif_that_says(16'384, 3'100)), ErrorCode::kTooLarge);
  EXPECT_LT(memory_peak_kib() - before, 20 * 1'024);
}

TEST_F(ImageTest, AsManyPixelsAsAreTakenWithoutTheirDataAreBroken) {
  EXPECT_EQ(code_of(png_that_says(7'000, 7'000)), ErrorCode::kInvalidArgument);
}

// A GIF's frame may end early; the rest stays as it was. It costs its pixels and no more.
TEST_F(ImageTest, AGifThatSaysItIsLargeCostsWhatItSays) {
  long before = memory_peak_kib();
  for (const auto& image : encoded(gif_that_says(7'000, 7'000))) EXPECT_EQ(image.width, 100);
  EXPECT_LT(memory_peak_kib() - before, 8 * 7'000 * 7'000 / 1'024);
}

TEST_F(ImageTest, ALargeImageOfOneColourIsTaken) {
  auto image = made([&](VipsImage** out) { return vips_black(out, 7'000, 7'000, "bands", 3, nullptr); });
  auto bytes = file(image.get(), ".png[compression=1]");
  EXPECT_LT(bytes.size(), 1'000'000u);
  for (const auto& encoded_image : encoded(bytes, 100)) EXPECT_EQ(encoded_image.width, 100);
}

TEST_F(ImageTest, LargeImagesWaitForEachOther) {
  const auto bytes = gif_that_says(7'000, 7'000);
  long before = memory_peak_kib();
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) threads.emplace_back([&] { EXPECT_TRUE(encode(bytes, 100)); });
  }
  EXPECT_LT(memory_peak_kib() - before, 10 * 7'000 * 7'000 / 1'024);
}

// A progressive JPEG whose last scan comes again and again: small, and each costs a pass over all pixels.
TEST_F(ImageTest, AJpegOfManyScansIsRefused) {
  auto bytes = file(quarters(64, 64, 3).get(), ".jpg[interlace]");
  auto last = bytes.rfind("\xff\xda"s), end = bytes.rfind("\xff\xd9"s);
  ASSERT_TRUE(last != std::string::npos && end != std::string::npos && last < end);
  auto scan = bytes.substr(last, end - last);
  auto with_scans = [&](int more) {
    auto longer = bytes;
    for (int i = 0; i < more; ++i) longer.insert(end, scan);
    return longer;
  };
  EXPECT_TRUE(encode(bytes, 100));
  std::string message;
  EXPECT_EQ(code_of(with_scans(120), &message), ErrorCode::kTooLarge);
  EXPECT_EQ(message, "the JPEG has more than 100 scans");

  // Neither what a segment holds nor what comes after the end is a scan.
  std::string noise;
  for (int i = 0; i < 1'000; ++i) noise += "\xff\xda\0\x02"s;
  auto comment = "\xff\xfe\x0f\xa2"s + noise;
  EXPECT_TRUE(encode(bytes.substr(0, 2) + comment + bytes.substr(2) + "\0\x02"s + noise, 100));
}

TEST_F(ImageTest, MoreBytesThanAllowedAreRefused) {
  std::string message;
  EXPECT_EQ(code_of("\xff\xd8\xff" + std::string(kImageBytesMax, 'x'), &message), ErrorCode::kTooLarge);
  EXPECT_EQ(message, "the image has more than 20 MiB");
}

TEST_F(ImageTest, OtherFormatsAreRefusedWhateverTheyAreCalled) {
  std::vector<std::string> others = {
      "",
      "\xff",
      "\xff\xd8",
      "RIFF",
      "RIFF\x04\0\0\0"s,
      "RIFF\x04\0\0\0WAVE"s,
      "GIF88a",
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"><rect width=\"10\" height=\"10\"/></svg>",
      "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"/>",
      "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj trailer<</Root 1 0 R>>",
      "P6\n1 1\n255\n\x01\x02\x03",
      "BM\x1a\0\0\0"s,
      "#?RADIANCE\n",
      "text",
      std::string(1'000, '\0'),
      file(quarters(20, 20, 3).get(), ".tif"),
      file(quarters(20, 20, 3).get(), ".ppm"),
  };
  for (const auto& bytes : others) {
    std::string message;
    EXPECT_EQ(code_of(bytes, &message), ErrorCode::kInvalidArgument) << bytes.substr(0, 20);
    EXPECT_EQ(message, "the image is not a JPEG, PNG, WebP or GIF") << bytes.substr(0, 20);
  }
}

// A file of another kind that begins like one of ours goes to that loader alone.
TEST_F(ImageTest, OtherLoadersAreOutOfReach) {
  for (const char* format : {".tif", ".ppm"}) {
    auto bytes = file(quarters(20, 20, 3).get(), format);
    EXPECT_EQ(vips_image_new_from_buffer(bytes.data(), bytes.size(), "", nullptr), nullptr) << format;
  }
  const std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"/>";
  EXPECT_EQ(vips_image_new_from_buffer(svg.data(), svg.size(), "", nullptr), nullptr);
  vips_error_clear();
}

TEST_F(ImageTest, TruncatedFilesAreBroken) {
  for (const char* format : {".png", ".png[interlace]", ".jpg", ".jpg[interlace]", ".webp", ".webp[lossless]", ".gif"}) {
    // Noise, so that the pixels take most of the file.
    auto noise = made([&](VipsImage** out) { return vips_gaussnoise(out, 200, 200, "mean", 128., "sigma", 60., "seed", 1, nullptr); });
    auto image = made([&](VipsImage** out) { return vips_cast_uchar(noise.get(), out, nullptr); });
    auto whole = file(image.get(), format);
    ASSERT_TRUE(encode(whole, 100)) << format;
    for (double part : {.05, .3, .6, .9}) {
      auto bytes = whole.substr(0, static_cast<std::size_t>(static_cast<double>(whole.size()) * part));
      std::string message;
      EXPECT_EQ(code_of(bytes, &message), ErrorCode::kInvalidArgument) << format << part;
      EXPECT_EQ(message, "the image is broken or not complete") << format << part;
    }
  }
}

TEST_F(ImageTest, DamagedFilesAreRefusedOrGiveAnImageOfTheirSize) {
  std::mt19937 random(20'261);
  int refused = 0, taken = 0;
  for (const char* format : {".png", ".png[interlace]", ".jpg", ".jpg[interlace]", ".webp", ".webp[lossless]", ".gif"}) {
    const auto whole = file(quarters(120, 90, 3).get(), format);
    for (int round = 0; round < 150; ++round) {
      auto bytes = whole;
      for (int i = 0; i <= round % 5; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
      auto images = encode(bytes, 60);
      (images ? taken : refused) += 1;
      if (!images) {
        EXPECT_TRUE(images.error().code == ErrorCode::kInvalidArgument || images.error().code == ErrorCode::kTooLarge)
            << images.error().message;
        continue;
      }
      for (const auto& image : *images) EXPECT_TRUE(image.width >= 1 && image.width <= 60 && image.height >= 1 && image.height <= 60);
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(taken, 100);
}

TEST_F(ImageTest, GarbageBehindAGoodBeginningIsBroken) {
  std::mt19937 random(7);
  for (const auto& begin :
       {"\xff\xd8\xff"s, "\x89PNG\r\n\x1a\n"s, "GIF89a"s, "GIF87a"s, "RIFF\xf0\x03\0\0WEBP"s, "RIFF\xf0\x03\0\0WEBPVP8 "s}) {
    for (int round = 0; round < 50; ++round) {
      auto bytes = begin;
      while (bytes.size() < 1'000) bytes += static_cast<char>(random());
      auto images = encode(bytes, 100);
      ASSERT_FALSE(images);
      EXPECT_TRUE(images.error().code == ErrorCode::kInvalidArgument || images.error().code == ErrorCode::kTooLarge)
          << images.error().message;
    }
  }
}

TEST_F(ImageTest, AnImageIsTheSameEachTime) {
  auto bytes = file(quarters(300, 200, 4, {kRed, kClear, kBlue, kYellow}).get(), ".png");
  auto one = encoded(bytes, 100), two = encoded(bytes, 100);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(one[i].bytes == two[i].bytes);
}

TEST_F(ImageTest, ManyThreadsEncodeAtOnce) {
  const auto small = file(quarters(600, 400, 3).get(), ".jpg");
  auto black = made([&](VipsImage** out) { return vips_black(out, 6'000, 5'000, nullptr); });
  const auto large = file(black.get(), ".png[compression=1]");  // two of them are more than may be decoded at a time
  const auto broken = small.substr(0, small.size() / 2);
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 6; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 10; ++i) right += encode(small, 100).has_value() && !encode(broken, 100) ? 1 : 0;
        if (thread < 3) right += encode(large, 50).has_value() ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(right, 63);
}

}  // namespace
}  // namespace hearth::media
