#include "hearth/app/adoption/diagnosis_routes.h"

namespace hearth::app::adoption {
namespace {

Task<http::Response> diagnose(Diagnoser& diagnoser) {
  auto diagnosis = co_await diagnoser.diagnose();
  if (!diagnosis) co_return http::problem(diagnosis.error());
  co_return http::Response{.body = to_json(*diagnosis)};
}

}  // namespace

void add_diagnosis_routes(api::Routes& routes, Diagnoser& diagnoser) {
  routes.add(http::Method::kGet, "/api/admin/diagnostics", auth::Access::kAdminRead,
             [&diagnoser](http::Request&, const auth::Caller&) { return diagnose(diagnoser); });
}

}  // namespace hearth::app::adoption
