#include "hearth/api/operations_routes.h"

#include <utility>

#include "hearth/base/json_writer.h"

namespace hearth::api {
namespace {

using http::Request;
using http::Response;

Task<Response> answer(Response response) {
  co_return response;
}

}  // namespace

void add_operations_routes(http::Router& router, Routes& routes, OperationsApi& api) {
  // Probes carry no credentials.
  router.add(http::Method::kGet, "/healthz", [](Request&) { return answer({.body = R"({"status":"alive"})"}); });
  router.add(http::Method::kGet, "/readyz", [&api](Request&) {
    if (auto ready = api.is_ready(); !ready) return answer(http::problem(ready.error()));
    Response response;
    JsonWriter json(response.body);
    json.begin_object().field("status", "ready");
    if (auto whole = api.is_whole(); !whole) json.field("degraded", true).field("reason", whole.error().message);
    json.end_object();
    return answer(std::move(response));
  });
  routes.add(http::Method::kGet, "/metrics", auth::Access::kMetrics, [&api](Request&, const auth::Caller&) {
    return answer({.body = api.metrics(), .content_type = "text/plain; version=0.0.4; charset=utf-8"});
  });
}

}  // namespace hearth::api
