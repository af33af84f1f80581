#pragma once

// Requests to other servers over http and https: images to fetch, webhooks to post, S3-compatible stores.
//
// The target is somebody else's text. So: only http and https; never loopback, private, link-local, multicast or otherwise special
// addresses, IPv4 in IPv6 included, checked on the address that is connected to, after each redirect too; a limit on bytes, time and
// redirects. `allows_private` is for stores that the operator named, and for tests.
//
// libcurl (Debian): TLS, redirects, decoding and time-outs are its. Blocking; thread-safe, one connection pool a thread.

#include <chrono>
#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::web {

struct WebRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::chrono::milliseconds timeout{10'000};  // of all of it
  std::size_t answer_bytes_max = 1 << 20;
  int redirects_max = 0;
  bool allows_private = false;
};

struct WebResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers = {};  // names in lower case
  std::string body = {};
  // The first value of that name in lower case; empty if there is none.
  std::string_view header(std::string_view name) const;
};

// kInvalidArgument naming `field`: not an http or https URL that could be fetched at all; says why. No request is made.
Result<void> check_url(std::string_view url, std::string_view field);

class WebClient {
 public:
  WebClient();
  ~WebClient();

  // Any status is an answer. kForbidden: an address that may not be connected to. kTooLarge: the answer is. kUnavailable: no answer,
  // or `stop` was asked. kInvalidArgument: the URL.
  Result<WebResponse> send(const WebRequest& request, std::stop_token stop = {});
};

}  // namespace hearth::web
