#pragma once

// SHA-256 and HMAC-SHA-256 (OpenSSL): names made of content, and signatures that others check.

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth {

inline constexpr std::size_t kSha256Bytes = 32;

std::string sha256(std::string_view bytes);                            // kSha256Bytes raw bytes
std::string hmac_sha256(std::string_view key, std::string_view text);  // the same; RFC 2104
std::string to_hex(std::string_view bytes);                            // in lower case

inline std::string sha256_hex(std::string_view bytes) {
  return to_hex(sha256(bytes));
}
inline std::string hmac_sha256_hex(std::string_view key, std::string_view text) {
  return to_hex(hmac_sha256(key, text));
}

}  // namespace hearth
