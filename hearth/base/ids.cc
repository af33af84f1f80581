#include "hearth/base/ids.h"

#include <array>

namespace hearth {
namespace {

constexpr std::array<bool, 256> kAllowed = [] {
  std::array<bool, 256> allowed{};
  for (int c = 0x21; c <= 0x7e; ++c) allowed[c] = true;
  for (unsigned char c : std::string_view("\"\\{}")) allowed[c] = false;
  return allowed;
}();

}  // namespace

bool is_valid_id(std::string_view text) {
  if (text.empty() || text.size() > kIdBytesMax) return false;
  for (unsigned char c : text) {
    if (!kAllowed[c]) return false;
  }
  return true;
}

std::string invalid_id_message(std::string_view field) {
  return std::string(field) + " must be 1 to 128 printable ASCII characters without space, quote, backslash or braces";
}

}  // namespace hearth
