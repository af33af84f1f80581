#pragma once

// Keys and signed tokens for the tests of this folder.

#include <cjose/cjose.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "hearth/base/assert.h"
#include "hearth/base/clock.h"

namespace hearth::auth {

struct TestHeader {
  std::string algorithm = {};  // empty: the key's
  std::string key_id = {};
  std::string critical = {};  // JSON
};

class TestKey {
 public:
  static TestKey secret(std::string_view text) {
    return TestKey(cjose_jwk_create_oct_spec(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), nullptr), "HS256");
  }
  static TestKey rsa(std::size_t bits = 2048) {
    const std::uint8_t exponent[] = {1, 0, 1};
    return TestKey(cjose_jwk_create_RSA_random(bits, exponent, sizeof exponent, nullptr), "RS256");
  }
  static TestKey ec(cjose_jwk_ec_curve curve = CJOSE_JWK_EC_P_256) { return TestKey(cjose_jwk_create_EC_random(curve, nullptr), "ES256"); }

  TestKey& named(std::string_view id) {
    HEARTH_ASSERT(cjose_jwk_set_kid(jwk_.get(), id.data(), id.size(), nullptr));
    return *this;
  }

  std::string public_json() const {
    std::unique_ptr<char, decltype(&std::free)> json(cjose_jwk_to_json(jwk_.get(), false, nullptr), &std::free);
    HEARTH_ASSERT(json != nullptr);
    return json.get();
  }

  std::string sign(std::string_view claims, const TestHeader& header = {}) const {
    cjose_header_t* fields = cjose_header_new(nullptr);
    cjose_header_set(fields, "alg", (header.algorithm.empty() ? algorithm_ : header.algorithm).c_str(), nullptr);
    if (!header.key_id.empty()) cjose_header_set(fields, "kid", header.key_id.c_str(), nullptr);
    if (!header.critical.empty()) cjose_header_set_raw(fields, "crit", header.critical.c_str(), nullptr);
    cjose_jws_t* jws = cjose_jws_sign(jwk_.get(), fields, reinterpret_cast<const std::uint8_t*>(claims.data()), claims.size(), nullptr);
    HEARTH_ASSERT(jws != nullptr);
    const char* text = nullptr;
    HEARTH_ASSERT(cjose_jws_export(jws, &text, nullptr));
    std::string out = text;
    cjose_jws_release(jws);
    cjose_header_release(fields);
    return out;
  }

 private:
  TestKey(cjose_jwk_t* jwk, std::string algorithm) : jwk_(jwk, &cjose_jwk_release), algorithm_(std::move(algorithm)) {
    HEARTH_ASSERT(jwk != nullptr);
  }

  std::unique_ptr<cjose_jwk_t, decltype(&cjose_jwk_release)> jwk_;
  std::string algorithm_;
};

// Claims of ada that are valid at the start of a SimulatedClock and for an hour.
inline constexpr std::int64_t kTestNow = 1'700'000'000;
inline constexpr std::string_view kAdaClaims = R"({"sub":"ada","jti":"t1","exp":1700003600,"iat":1700000000})";
inline UtcMicros at_second(std::int64_t second) {
  return UtcMicros(std::chrono::seconds(second));
}

}  // namespace hearth::auth
