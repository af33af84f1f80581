#pragma once

// Limits as a service, and the rules of Hearth's own, as docs/api/openapi.yaml has them: /api/ratelimit/*,
// /api/admin/ratelimit/*.

#include <cstddef>

#include "hearth/api/keyed_answers.h"
#include "hearth/api/rate_limits.h"
#include "hearth/api/routes.h"
#include "hearth/limits/limit_service.h"
#include "hearth/limits/rule_book.h"

namespace hearth::api {

inline constexpr std::size_t kRefusedShownDefault = 20;

struct RateLimitApi {
  limits::LimitService& service;
  limits::RuleBook& book;
  RateLimits& limits;
  KeyedAnswers* keyed_answers = nullptr;  // null: an Idempotency-Key is not honoured
};

// `api` outlives the router.
void add_ratelimit_routes(Routes& routes, RateLimitApi& api);

}  // namespace hearth::api
