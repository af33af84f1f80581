#pragma once

// Adds routes whose handlers know their caller: credentials and media type are checked before a handler runs.

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/auth/authenticator.h"
#include "hearth/auth/caller.h"
#include "hearth/base/json_writer.h"
#include "hearth/base/task.h"
#include "hearth/http/problem.h"
#include "hearth/http/request.h"
#include "hearth/http/router.h"

namespace hearth::api {

class RateLimits;

using ApiHandler = std::function<Task<http::Response>(http::Request&, auth::Caller)>;

// Whether likes are answered from SQL, because the live store is away: answers say so.
using IsDegraded = std::function<bool()>;

// Made before the work and asked after it: the live store may go or come back in between.
class Degraded {
 public:
  explicit Degraded(const IsDegraded& is_degraded) : is_degraded_(is_degraded), was_degraded_(is_degraded()) {}
  explicit operator bool() const { return was_degraded_ || is_degraded_(); }
  void write(JsonWriter& json) const {
    if (*this) json.field("degraded", true);
  }

 private:
  const IsDegraded& is_degraded_;
  const bool was_degraded_;
};

class Routes {
 public:
  // `page_origins`: whose pages may call even while no key is configured; "*" for all. `limits` may be null: nothing is limited.
  Routes(http::Router& router, const auth::Authenticator& authenticator, bool has_public_reads, std::vector<std::string> page_origins,
         RateLimits* limits = nullptr)
      : router_(router),
        authenticator_(authenticator),
        limits_(limits),
        has_public_reads_(has_public_reads),
        page_origins_(std::move(page_origins)) {}

  // `media_type` is what a body must be, if there is one.
  void add(http::Method method, std::string_view pattern, auth::Access access, ApiHandler handler,
           std::string_view media_type = "application/json");

 private:
  http::Router& router_;
  const auth::Authenticator& authenticator_;
  RateLimits* const limits_;
  // Whether a caller without a key may do what this request asks: a page of another site in the developer's browser comes
  // from loopback too, and must not change anything.
  bool is_from_here(const http::Request& request) const;

  const bool has_public_reads_;
  const std::vector<std::string> page_origins_;
};

}  // namespace hearth::api
