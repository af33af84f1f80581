#include "hearth/media/media_store.h"

#include <algorithm>

#include "hearth/base/assert.h"
#include "hearth/base/digest.h"

namespace hearth::media {
namespace {

constexpr std::size_t kNameBytesMax = 100;
constexpr std::size_t kExtensionBytesMax = 10;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string media_name(std::string_view bytes, std::string_view extension) {
  HEARTH_ASSERT(!extension.empty() && extension.size() <= kExtensionBytesMax && std::ranges::all_of(extension, is_letter_or_digit));
  return sha256_hex(bytes) + "." + std::string(extension);
}

bool is_media_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || name.front() == '.' || name.back() == '.') return false;
  return std::ranges::count(name, '.') == 1 &&
         std::ranges::all_of(name, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '.'; });
}

std::string_view media_type_of(std::string_view name) {
  if (name.ends_with(".webp")) return "image/webp";
  if (name.ends_with(".jpg")) return "image/jpeg";
  return "application/octet-stream";
}

}  // namespace hearth::media
