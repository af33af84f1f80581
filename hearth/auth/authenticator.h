#pragma once

// Turns an Authorization header into a Caller.
//
// Keys are compared by their SHA-256 in constant time, each with all, so that an answer's time tells neither which key was
// nearly met nor how long one is. With no key, secret or key set configured, every caller on loopback is kLocal and nobody
// else is served: that is for development.
//
// Verifying a token costs 4 µs (HS256) to 66 µs (ES256) where the rest of a request costs 6, so verified ones are remembered
// by their SHA-256 (0.4 µs) until they expire or the bounded table is full. Their times are checked every time.
//
// Thread-safe.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hearth/auth/caller.h"
#include "hearth/base/clock.h"
#include "hearth/base/result.h"

namespace hearth::auth {

inline constexpr std::size_t kTokensRememberedMax = 64 * 1024;

struct AuthenticatorOptions {
  std::optional<std::string> service_key = {};
  std::optional<std::string> admin_key = {};
  std::optional<std::string> viewer_key = {};
  std::optional<std::string> cron_secret = {};
  std::optional<std::string> jwt_secret = {};
  std::optional<std::filesystem::path> jwks_file = {};
};

class Authenticator {
 public:
  // Fails with kInvalidArgument for an empty key and for a key set that cannot be used. `clock` outlives the authenticator.
  static Result<std::unique_ptr<Authenticator>> open(const AuthenticatorOptions& options, const Clock& clock);
  ~Authenticator();

  // The caller behind the value of an Authorization header, empty when there was none. Fails with kUnauthenticated for
  // a credential that is not valid, and never repeats it.
  Result<Caller> identify(std::string_view authorization, bool is_loopback) const;

 private:
  class Impl;
  explicit Authenticator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::auth
