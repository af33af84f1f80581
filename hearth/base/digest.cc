#include "hearth/base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <climits>

#include "hearth/base/assert.h"

namespace hearth {
namespace {

const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

std::string sha256(std::string_view bytes) {
  unsigned char digest[kSha256Bytes];
  HEARTH_ASSERT(EVP_Digest(bytes.data(), bytes.size(), digest, nullptr, EVP_sha256(), nullptr) == 1);
  return std::string(reinterpret_cast<const char*>(digest), sizeof digest);
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  // OpenSSL takes a null key for "the one of before": an empty view may be null.
  if (key.empty()) key = "";
  HEARTH_ASSERT(key.size() <= INT_MAX);
  unsigned char digest[kSha256Bytes];
  HEARTH_ASSERT(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), raw(text), text.size(), digest, nullptr) != nullptr);
  return std::string(reinterpret_cast<const char*>(digest), sizeof digest);
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (unsigned char byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace hearth
