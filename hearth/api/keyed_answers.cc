#include "hearth/api/keyed_answers.h"

#include <utility>

#include "hearth/api/input.h"
#include "hearth/http/problem.h"

namespace hearth::api {

using http::problem;
using http::Response;

Task<Response> answer_once(content::KeyedAnswers& answers, http::Request& request, auth::Caller caller,
                           std::function<Task<Response>()> work) {
  auto hashed = idempotency_key(request, caller);
  if (!hashed) co_return problem(hashed.error());
  if (!*hashed) co_return co_await work();

  content::IdempotencyKey key{(*hashed)->scope, (*hashed)->request};
  auto earlier = co_await answers.find(key);
  if (!earlier) co_return problem(earlier.error());
  Response response;
  bool is_replayed = earlier->has_value();
  if (is_replayed) {
    response.body = std::move(**earlier);
  } else {
    response = co_await work();
    if (response.status != 200) co_return response;
    auto kept = co_await answers.keep(std::move(key), response.body);
    if (!kept) co_return problem(kept.error());
    is_replayed = *kept != response.body;
    response.body = *std::move(kept);
  }
  if (is_replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
  co_return response;
}

}  // namespace hearth::api
