#pragma once

// Where Redis is and how one logs in there, from a URL.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::redis {

struct Address {
  std::string host;
  std::uint16_t port = 0;

  std::string text() const;  // host:port, [host]:port for IPv6
  auto operator<=>(const Address&) const = default;
};

enum class Mode : std::uint8_t { kSingle, kSentinel, kCluster };

struct Url {
  Mode mode = Mode::kSingle;
  bool is_tls = false;
  std::string user = {};
  std::string password = {};  // for Redis; Sentinel is asked without one
  int database = 0;
  std::vector<Address> addresses = {};  // at least one; Sentinels in their mode
  std::string primary_name = {};        // that Sentinel knows
};

// The forms are those of ClientOptions::url. Fails with kInvalidArgument; the message never holds the password.
Result<Url> parse_url(std::string_view text);

// "host:port", the last colon counts; the port may be missing.
Result<Address> parse_address(std::string_view text, std::uint16_t default_port);

}  // namespace hearth::redis
