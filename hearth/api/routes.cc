#include "hearth/api/routes.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

#include "hearth/api/rate_limits.h"

namespace hearth::api {
namespace {

Task<http::Response> answer(http::Response response) {
  co_return response;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The media type alone counts: "application/json; charset=utf-8" is JSON. A body without any type is taken as the right one.
bool is_media_type(std::string_view content_type, std::string_view wanted) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return type.empty() || equals_ignoring_case(type, wanted);
}

Task<http::Response> handle_within_limits(RateLimits& limits, const limits::RuleBook::Route& route, http::Request& request,
                                          auth::Caller caller, const ApiHandler& handler) {
  auto verdict = co_await limits.admit(route, request, caller);
  if (verdict.refusal) co_return *std::move(verdict.refusal);
  auto response = co_await handler(request, std::move(caller));
  std::ranges::move(verdict.headers, std::back_inserter(response.headers));
  co_return response;
}

}  // namespace

bool Routes::is_from_here(const http::Request& request) const {
  if (request.method == http::Method::kGet || request.method == http::Method::kHead) return true;
  std::string_view origin = request.origin;
  if (origin.empty()) return true;
  for (std::string_view own : {"http://localhost", "http://127.0.0.1", "http://[::1]"}) {
    if (origin.starts_with(own) && (origin.size() == own.size() || origin[own.size()] == ':')) return true;
  }
  return std::ranges::any_of(page_origins_, [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

void Routes::add(http::Method method, std::string_view pattern, auth::Access access, ApiHandler handler, std::string_view media_type) {
  const auto* limited = limits_ != nullptr ? limits_->add_route(method, pattern) : nullptr;
  // Not a coroutine itself: what passes goes straight to the handler.
  router_.add(
      method, pattern, [this, access, media_type, limited, handler = std::move(handler)](http::Request& request) -> Task<http::Response> {
        auto caller = authenticator_.identify(request.authorization, request.is_loopback);
        if (!caller) return answer(http::problem(caller.error()));
        if (caller->kind == auth::CallerKind::kLocal && !is_from_here(request)) {
          return answer(http::problem(
              {ErrorCode::kForbidden, "without a key pages of other sites may change nothing: configure keys, or cors.origins", {}}));
        }
        if (auto allowed = auth::check(*caller, access, has_public_reads_); !allowed) return answer(http::problem(allowed.error()));
        if (!request.body.empty() && !is_media_type(request.content_type, media_type)) {
          return answer(http::problem(
              {ErrorCode::kUnsupportedMediaType, "send the body as Content-Type: " + std::string(media_type), "Content-Type"}));
        }
        if (limited != nullptr && limited->is_limited()) {
          return handle_within_limits(*limits_, *limited, request, *std::move(caller), handler);
        }
        return handler(request, *std::move(caller));
      });
}

}  // namespace hearth::api
