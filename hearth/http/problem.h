#pragma once

// The one place where an error becomes a status: {"error": text, "code": "snake_case", "field"?: name}.

#include "hearth/base/result.h"
#include "hearth/http/request.h"

namespace hearth::http {

// kUnavailable carries Retry-After: 1; kInternal shows no detail (log it where it is known).
Response problem(const Error& error);
// A request that did not arrive in time: the one answer that no error of ours stands for.
Response request_timeout_problem();
// The same object, without status: for an item of a batch.
void append_problem(std::string& out, const Error& error);

}  // namespace hearth::http
