#pragma once

// Failures as values. A function that can fail in an expected way returns Result<T>.
//
// The codes are few and named for what a caller can do about them; http/problem.h alone turns them into statuses.

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace hearth {

enum class ErrorCode : std::uint8_t {
  kInvalidArgument,       // the caller must change the request; `field` names what is wrong
  kUnauthenticated,       // no valid credential
  kForbidden,             // a valid credential that may not do this
  kNotFound,              //
  kMethodNotAllowed,      //
  kConflict,              // the state of things forbids it; repeating does not help
  kIdempotencyKeyReused,  // this Idempotency-Key came with another request before
  kStaleLease,            // another attempt owns the job by now
  kTooLarge,              // over a named limit
  kUnsupportedMediaType,  //
  kRateLimited,           //
  kUnavailable,           // try again later; whether it took effect is not known unless said otherwise
  kInternal,              // a fault of ours; details are logged and never shown
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;     // for people; says what to change
  std::string field = {};  // the input it is about, when there is one
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string field = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(field)});
}

inline std::unexpected<Error> invalid(std::string field, std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message), std::move(field));
}

}  // namespace hearth
