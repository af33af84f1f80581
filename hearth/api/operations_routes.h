#pragma once

// /healthz, /readyz, /metrics.

#include <functional>
#include <string>

#include "hearth/api/routes.h"

namespace hearth::api {

struct OperationsApi {
  std::function<Result<void>()> is_ready;  // an error says what is missing
  std::function<Result<void>()> is_whole;  // an error says what it serves without
  std::function<std::string()> metrics;    // in Prometheus' text format
};

// `api` outlives the router.
void add_operations_routes(http::Router& router, Routes& routes, OperationsApi& api);

}  // namespace hearth::api
