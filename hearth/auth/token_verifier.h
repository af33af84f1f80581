#pragma once

// Verifies users' tokens: JSON Web Tokens signed with HS256 and a shared secret, or with RS256 or ES256 and a key of a key set.
//
// Each key verifies one algorithm, fixed by its type when it is loaded; a token that names another ("none", or HS256 with a
// public key for a secret) finds no key. A token must carry `sub` (a valid id), `exp` and `jti`.
//
// Thread-safe.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"

namespace hearth::auth {

inline constexpr std::size_t kTokenBytesMax = 8 * 1024;
inline constexpr std::size_t kKeySetBytesMax = 1024 * 1024;
inline constexpr std::size_t kKeySetKeysMax = 64;
inline constexpr std::size_t kRsaKeyBitsMin = 2048;
inline constexpr std::chrono::seconds kClockSkew{60};  // for `nbf` and `iat`, which another machine's clock wrote; not for `exp`

struct TokenClaims {
  std::string user_id;   // `sub`
  std::string token_id;  // `jti`
  UtcMicros expires{};
  UtcMicros valid_from{};  // the later of `nbf` and `iat`, less the skew
};

class TokenVerifier {
 public:
  // A secret, a key set file, or both. Fails with kInvalidArgument when the secret is empty or the file has no usable key.
  static Result<std::unique_ptr<TokenVerifier>> open(const std::optional<std::string>& secret,
                                                     const std::optional<std::filesystem::path>& key_set);
  ~TokenVerifier();

  // The claims of a token whose signature is right, whatever the time. Fails with kUnauthenticated, without repeating the token.
  Result<TokenClaims> verify(std::string_view token) const;

 private:
  struct Key;
  TokenVerifier();
  Result<void> add_secret(const std::string& secret);
  Result<void> add_key_set(const std::filesystem::path& path);
  Result<void> add_key(std::string json);

  std::vector<Key> keys_;
};

// Whether the token may be used at `now`; kUnauthenticated if not.
Result<void> check_time(const TokenClaims& claims, UtcMicros now);

}  // namespace hearth::auth
