#pragma once

// URLs that strangers write: what of them is fetched at all. libcurl's parser reads them, the same one that connects.

#include <cstddef>
#include <string>
#include <string_view>

#include "hearth/base/result.h"

namespace hearth::web {

inline constexpr std::size_t kUrlBytesMax = 2'048;

// An http or https URL in its normal form, without its fragment.
struct Url {
  std::string scheme;  // http or https
  std::string host;    // in lower case; IPv6 in brackets; 127.1 and 0x7f000001 are 127.0.0.1
  int port = 0;
  std::string path;  // from its '/', with the query; what is not ASCII is percent-encoded

  // As the Host header says it: without a port that goes without saying.
  std::string authority() const;
  std::string text() const;
  bool has_same_origin(const Url& other) const { return scheme == other.scheme && host == other.host && port == other.port; }
};

// kInvalidArgument naming `field`: longer than kUrlBytesMax, not http or https, no host, a host that is not ASCII, a user or
// password in it, spaces, or characters that no URL has.
Result<Url> parse_url(std::string_view url, std::string_view field);
// Of what `base` answered as Location: a whole URL, or one relative to `base`.
Result<Url> resolve_url(const Url& base, std::string_view location, std::string_view field);

// Ports where something else than a web server answers: all below 1024 but 80 and 443. A request to them is made on nobody's word but
// the operator's, lest it be mail or a login.
bool is_web_port(int port);

// What a URL of a stranger must be so that it could be fetched at all: parse_url() and is_web_port(). No request is made, no name
// resolved: its address is judged when it is connected to.
Result<void> check_url(std::string_view url, std::string_view field);

}  // namespace hearth::web
