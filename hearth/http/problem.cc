#include "hearth/http/problem.h"

#include "hearth/base/json_writer.h"

namespace hearth::http {
namespace {

struct Kind {
  int status;
  std::string_view code;
};

Kind kind_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return {400, "invalid_argument"};
    case ErrorCode::kUnauthenticated:
      return {401, "unauthenticated"};
    case ErrorCode::kForbidden:
      return {403, "forbidden"};
    case ErrorCode::kNotFound:
      return {404, "not_found"};
    case ErrorCode::kMethodNotAllowed:
      return {405, "method_not_allowed"};
    case ErrorCode::kConflict:
      return {409, "conflict"};
    case ErrorCode::kIdempotencyKeyReused:
      return {409, "idempotency_key_reused"};
    case ErrorCode::kStaleLease:
      return {409, "stale_lease"};
    case ErrorCode::kTooLarge:
      return {413, "too_large"};
    case ErrorCode::kUnsupportedMediaType:
      return {415, "unsupported_media_type"};
    case ErrorCode::kRateLimited:
      return {429, "rate_limited"};
    case ErrorCode::kUnavailable:
      return {503, "unavailable"};
    case ErrorCode::kInternal:
      break;
  }
  return {500, "internal"};
}

void append_object(std::string& out, std::string_view message, std::string_view code, std::string_view field) {
  JsonWriter json(out);
  json.begin_object().field("error", message).field("code", code);
  if (!field.empty()) json.field("field", field);
  json.end_object();
}

}  // namespace

Response problem(const Error& error) {
  Response response{.status = kind_of(error.code).status};
  append_problem(response.body, error);
  if (error.code == ErrorCode::kUnavailable) response.headers.emplace_back("Retry-After", "1");
  if (error.code == ErrorCode::kUnauthenticated) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

Response request_timeout_problem() {
  Response response{.status = 408};
  append_object(response.body, "the request took too long to arrive", "request_timeout", "");
  return response;
}

void append_problem(std::string& out, const Error& error) {
  bool is_internal = error.code == ErrorCode::kInternal;
  append_object(out, is_internal ? "internal error" : error.message, kind_of(error.code).code, is_internal ? "" : error.field);
}

}  // namespace hearth::http
