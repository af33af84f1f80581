#include "hearth/content/username.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace hearth::content {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Not letters: signs within Latin-1, combining marks, punctuation and symbols, ideographic punctuation, surrogates and
// private use, variation selectors, the byte order mark and specials, emoji and other pictures, tags.
constexpr std::array kRefused{
    Range{0x00D7, 0x00D7}, Range{0x00F7, 0x00F7}, Range{0x02B0, 0x036F},   Range{0x061C, 0x061C},   Range{0x115F, 0x1160},
    Range{0x1680, 0x1680}, Range{0x180B, 0x180F}, Range{0x2000, 0x2BFF},   Range{0x2E00, 0x2E7F},   Range{0x3000, 0x3004},
    Range{0x3008, 0x3020}, Range{0x3164, 0x3164}, Range{0xD800, 0xF8FF},   Range{0xFE00, 0xFE6F},   Range{0xFEFF, 0xFF0F},
    Range{0xFFA0, 0xFFA0}, Range{0xFFE0, 0xFFFF}, Range{0x1D000, 0x1D3FF}, Range{0x1F000, 0x1FAFF}, Range{0xE0000, 0x10FFFF},
};

bool is_allowed(char32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '.' || c == '-';
  if (c < 0xC0) return false;
  return std::ranges::none_of(kRefused, [c](Range range) { return c >= range.first && c <= range.last; });
}

// Takes one code point off the front of `text`; nothing if it is not UTF-8 in its shortest form.
std::optional<char32_t> take_code_point(std::string_view& text) {
  auto lead = static_cast<unsigned char>(text.front());
  std::size_t length = lead < 0x80                   ? 1
                       : lead >= 0xC2 && lead < 0xE0 ? 2
                       : lead >= 0xE0 && lead < 0xF0 ? 3
                       : lead >= 0xF0 && lead < 0xF5 ? 4
                                                     : 0;
  if (length == 0 || text.size() < length) return std::nullopt;
  char32_t c = length == 1 ? lead : lead & (0x7F >> length);
  for (std::size_t i = 1; i < length; ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0) != 0x80) return std::nullopt;
    c = (c << 6) | (byte & 0x3F);
  }
  constexpr std::array<char32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  if (c < kSmallest[length] || c > 0x10FFFF) return std::nullopt;
  text.remove_prefix(length);
  return c;
}

void append_code_point(std::string& out, char32_t c) {
  auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

// Latin Extended-A alternates capital and small letters; in two stretches the capital is the odd one.
char32_t fold_latin_extended(char32_t c) {
  if (c == 0x0130) return 'i';     // İ
  if (c == 0x0178) return 0x00FF;  // Ÿ
  if (c == 0x0138 || c == 0x0149 || c == 0x017F) return c;
  bool is_capital_odd = (c >= 0x0139 && c <= 0x0148) || (c >= 0x0179 && c <= 0x017E);
  return is_capital_odd == (c % 2 == 1) ? c + 1 : c;
}

char32_t fold_greek(char32_t c) {
  if (c >= 0x0391 && c <= 0x03AB && c != 0x03A2) return c + 32;
  if (c == 0x0386) return 0x03AC;
  if (c >= 0x0388 && c <= 0x038A) return c + 37;
  if (c == 0x038C) return 0x03CC;
  if (c == 0x038E || c == 0x038F) return c + 63;
  return c == 0x03C2 ? 0x03C3 : c;  // the final sigma is a sigma
}

char32_t fold(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c < 0x0100) return c >= 0x00C0 && c <= 0x00DE ? c + 32 : c;
  if (c < 0x0180) return fold_latin_extended(c);
  if (c >= 0x0370 && c < 0x0400) return fold_greek(c);
  if (c >= 0x0400 && c <= 0x040F) return c + 80;
  if (c >= 0x0410 && c <= 0x042F) return c + 32;
  return c;
}

}  // namespace

bool is_valid_username(std::string_view text) {
  if (text.empty() || text.size() > kUsernameBytesMax) return false;
  while (!text.empty()) {
    auto c = take_code_point(text);
    if (!c || !is_allowed(*c)) return false;
  }
  return true;
}

std::string fold_username(std::string_view text) {
  std::string folded;
  folded.reserve(text.size());
  while (!text.empty()) {
    auto c = take_code_point(text);
    if (!c) return std::string(text);  // not reached by a valid username
    append_code_point(folded, fold(*c));
  }
  return folded;
}

}  // namespace hearth::content
