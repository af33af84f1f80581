#pragma once

// Adds routes whose handlers know their caller: credentials and media type are checked before a handler runs.

#include <functional>
#include <string_view>

#include "hearth/auth/authenticator.h"
#include "hearth/auth/caller.h"
#include "hearth/base/task.h"
#include "hearth/http/problem.h"
#include "hearth/http/request.h"
#include "hearth/http/router.h"

namespace hearth::api {

using ApiHandler = std::function<Task<http::Response>(http::Request&, auth::Caller)>;

class Routes {
 public:
  Routes(http::Router& router, const auth::Authenticator& authenticator, bool has_public_reads)
      : router_(router), authenticator_(authenticator), has_public_reads_(has_public_reads) {}

  // `media_type` is what a body must be, if there is one.
  void add(http::Method method, std::string_view pattern, auth::Access access, ApiHandler handler,
           std::string_view media_type = "application/json");

 private:
  http::Router& router_;
  const auth::Authenticator& authenticator_;
  const bool has_public_reads_;
};

}  // namespace hearth::api
