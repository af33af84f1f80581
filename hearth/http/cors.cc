#include "hearth/http/cors.h"

#include <algorithm>

namespace hearth::http {

CorsPolicy::CorsPolicy(std::vector<std::string> origins)
    : origins_(std::move(origins)), allows_all_(std::ranges::find(origins_, "*") != origins_.end()) {}

bool CorsPolicy::allows(std::string_view origin) const {
  return !origin.empty() && (allows_all_ || std::ranges::find(origins_, origin) != origins_.end());
}

void CorsPolicy::append_fields(std::string& out, std::string_view origin) const {
  if (origins_.empty()) return;
  // What a cache keeps for one origin must not be given to another.
  if (!allows_all_) out += "Vary: Origin\r\n";
  if (!allows(origin)) return;
  out += "Access-Control-Allow-Origin: ";
  out += allows_all_ ? "*" : origin;
  out +=
      "\r\nAccess-Control-Expose-Headers: X-Request-Id, Idempotent-Replayed, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, "
      "X-RateLimit-Remaining, X-RateLimit-Reset\r\n";
}

void CorsPolicy::append_preflight_fields(std::string& out, std::string_view origin, std::string_view methods) const {
  if (!allows(origin)) return;
  out += "Access-Control-Allow-Methods: ";
  out += methods;
  out +=
      "\r\nAccess-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, X-Request-Id\r\n"
      "Access-Control-Max-Age: 600\r\n";
}

}  // namespace hearth::http
