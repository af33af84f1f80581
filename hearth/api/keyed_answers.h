#pragma once

// Idempotency-Key on routes whose effect keeps no record of its own (content/keyed_answers.h).

#include <functional>

#include "hearth/auth/caller.h"
#include "hearth/base/task.h"
#include "hearth/content/keyed_answers.h"
#include "hearth/http/request.h"

namespace hearth::api {

// Without the header: what `work` answers. With it: the first success again, or what `work` answers, which is kept if it is a
// success. `request` outlives the coroutine.
Task<http::Response> answer_once(content::KeyedAnswers& answers, http::Request& request, auth::Caller caller,
                                 std::function<Task<http::Response>()> work);

}  // namespace hearth::api
