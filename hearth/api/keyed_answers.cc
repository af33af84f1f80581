#include "hearth/api/keyed_answers.h"

#include <utility>

#include "hearth/api/input.h"
#include "hearth/http/problem.h"

namespace hearth::api {
namespace {

using http::problem;
using http::Response;

Response replayed(std::string body) {
  Response response{.body = std::move(body)};
  response.headers.emplace_back("Idempotent-Replayed", "true");
  return response;
}

}  // namespace

Task<Response> KeyedAnswers::answer_once(http::Request& request, auth::Caller caller, Work work) {
  auto hashed = idempotency_key(request, caller);
  if (!hashed) co_return problem(hashed.error());
  if (!*hashed) co_return co_await work();
  content::IdempotencyKey key{(*hashed)->scope, (*hashed)->request};
  for (;;) {
    auto lead = co_await flights_.join(key.scope);
    if (lead) co_return co_await answer_next(std::move(key), std::move(work));
  }
}

Task<Response> KeyedAnswers::answer_next(content::IdempotencyKey key, Work work) {
  auto earlier = co_await kept_.find(key);
  if (!earlier) co_return problem(earlier.error());
  if (*earlier) co_return replayed(std::move(**earlier));
  auto response = co_await work();
  if (response.status != 200) co_return response;
  auto kept = co_await kept_.keep(std::move(key), response.body);
  if (!kept) co_return problem(kept.error());
  if (*kept != response.body) co_return replayed(*std::move(kept));
  co_return response;
}

}  // namespace hearth::api
