#pragma once

// Turns the bytes of one HTTP/1.x request into a Request. The only place that knows which parser library does it.
//
// It is stricter than the standard allows where leniency has been used to smuggle requests past proxies: one
// Content-Length of digits, no other Transfer-Encoding than chunked, no folded lines, one Host, no field given twice that
// Hearth decides by. Trailers are read and ignored.

#include <cstddef>
#include <memory>
#include <string_view>

#include "hearth/base/result.h"
#include "hearth/http/request.h"

namespace hearth::http {

struct RequestLimits {
  std::size_t header_bytes_max;
  std::size_t body_bytes_max;
};

// A parser keeps the memory of a body up to this size for the next one; more it gives back.
inline constexpr std::size_t kBodyKeptMax = 64 * 1024;

// What the connection, rather than a handler, needs to know of a request.
struct RequestHead {
  std::string_view target;  // path and query as sent
  bool keep_alive = false;
  bool is_http_1_0 = false;
  bool expects_continue = false;
  bool is_preflight = false;  // names an Access-Control-Request-Method
};

class RequestParser {
 public:
  enum class State { kNeedsMore, kComplete, kFailed };

  RequestParser(RequestLimits limits, Request& request);
  ~RequestParser();

  // Forgets what was read: a new request begins.
  void reset();

  // Reads on. `message` begins with the request's first byte; its first `from` bytes were consumed by earlier calls.
  // Returns how many are consumed now. Until is_header_done() nothing consumed may be dropped; from then on the first
  // header_bytes() of the message stay in place and what follows them may be dropped once consumed, then `from` tells
  // where the rest is.
  std::size_t feed(std::string_view message, std::size_t from);

  State state() const { return state_; }
  bool is_header_done() const;
  std::size_t header_bytes() const { return header_bytes_; }
  const Error& error() const { return error_; }  // REQUIRES: state() == kFailed

  // Points the views of the request at `message`, and returns the rest of the head; request_id stays empty if the client
  // sent no valid one. What a failed request had sent before it failed is there too.
  RequestHead resolve(std::string_view message);

 private:
  struct Parser;
  std::size_t complete(std::size_t header_bytes, std::string_view body);
  std::size_t feed_in_full(std::string_view message, std::size_t from);
  void fail(Error error);

  const RequestLimits limits_;
  Request& request_;
  std::unique_ptr<Parser> parser_;
  State state_ = State::kNeedsMore;
  std::size_t header_bytes_ = 0;
  Error error_;
};

}  // namespace hearth::http
