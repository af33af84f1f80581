#include "hearth/likes/session_name.h"

#include <cstddef>

namespace hearth::likes {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

constexpr std::array<signed char, 256> kValues = [] {
  std::array<signed char, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kDigits.size(); ++i) values[static_cast<unsigned char>(kDigits[i])] = static_cast<signed char>(i);
  return values;
}();

constexpr bool is_hyphen_place(std::size_t place) {
  return place == 8 || place == 13 || place == 18 || place == 23;
}

}  // namespace

std::optional<UuidBytes> pack_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  UuidBytes bytes;
  std::size_t filled = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (is_hyphen_place(i)) {
      if (text[i] != '-') return std::nullopt;
      ++i;
      continue;
    }
    int high = kValues[static_cast<unsigned char>(text[i])];
    int low = kValues[static_cast<unsigned char>(text[i + 1])];
    if (high < 0 || low < 0) return std::nullopt;
    bytes[filled++] = static_cast<char>(high << 4 | low);
    i += 2;
  }
  return bytes;
}

std::string unpack_uuid(std::string_view bytes) {
  std::string text;
  text.reserve(36);
  for (unsigned char byte : bytes) {
    if (is_hyphen_place(text.size())) text += '-';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace hearth::likes
