#pragma once

// Requests to other servers over http and https: images to fetch, webhooks to post, S3-compatible stores.
//
// The target is somebody else's text. So: only http and https; never loopback, private, link-local, multicast or otherwise special
// addresses, IPv4 in IPv6 included, checked on the address that is connected to, after each redirect too; ports 80, 443 and from 1024;
// a limit on bytes, time and redirects. `allows_private` is for stores that the operator named, and for tests: any address and port
// of the host that the request names, and of no host that a redirect names.
//
// No proxy, no cookies, no netrc, no user in a URL; certificates are checked against the system's. Answers come as they were sent:
// no encoding is asked for and none undone, so no answer grows. Redirects are followed with GET as browsers do (303, and 301 or 302 of
// a POST) or as they were (307, 308). To another origin (scheme, host, port) go none of the headers but Accept and User-Agent, and no
// body: a redirect that would carry one there is the answer.
//
// libcurl (Debian): connections, TLS and HTTP are its. Blocking; thread-safe.

#include <chrono>
#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/drivers/web/url.h"

namespace hearth::web {

inline constexpr std::size_t kHeaderBytesMax = 64 << 10;  // of one answer

struct WebRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::chrono::milliseconds timeout{10'000};  // of all of it
  std::size_t answer_bytes_max = 1 << 20;     // of its body; its head has kHeaderBytesMax
  bool cuts_answer = false;                   // a longer body is no error: it is left out, or a part of it
  int redirects_max = 0;                      // 0: a redirect is the answer
  bool allows_private = false;
};

struct WebResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers = {};  // names in lower case
  std::string body = {};
  // The first value of that name in lower case; empty if there is none.
  std::string_view header(std::string_view name) const;
};

class WebClient {
 public:
  WebClient();
  ~WebClient();
  WebClient(const WebClient&) = delete;
  WebClient& operator=(const WebClient&) = delete;

  // Any status is an answer. kForbidden: an address or port that may not be connected to, or a redirect to what is not fetched.
  // kTooLarge: the answer is. kUnavailable: no answer, too many redirects, or `stop` was asked, at once. kInvalidArgument: the URL,
  // the method or a header. Messages name the host and never its addresses: they are not for strangers.
  Result<WebResponse> send(const WebRequest& request, std::stop_token stop = {});

 private:
  class Lanes;
  std::unique_ptr<Lanes> lanes_;
};

}  // namespace hearth::web
