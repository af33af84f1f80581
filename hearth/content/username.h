#pragma once

// Usernames: 1 to 64 bytes of letters and digits of any script and `_`, `.`, `-`; unique whatever the case.
//
// Allowed are ASCII letters and digits, and every code point from U+00C0 on that is not punctuation, a symbol, a space, a
// control or a private one by its block. Combining marks (U+0300–U+036F) are refused: composed letters only, so that one
// name is not written in two ways. Case is folded for ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic; other scripts
// with case keep it. Letters of different scripts that look alike stay different.

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth::content {

inline constexpr std::size_t kUsernameBytesMax = 64;

bool is_valid_username(std::string_view text);

// What two usernames have in common when they differ in case only. REQUIRES: is_valid_username(text).
std::string fold_username(std::string_view text);

}  // namespace hearth::content
