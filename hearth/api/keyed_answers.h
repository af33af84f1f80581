#pragma once

// Idempotency-Key on routes whose effect keeps no record of its own (content/keyed_answers.h).
//
// Requests with one key that come at once to this node are answered one after the other, so that one takes effect and the others
// get its answer. Two nodes that get the same key at the same moment may both let it take effect.
//
// Thread-safe.

#include <functional>

#include "hearth/auth/caller.h"
#include "hearth/base/single_flight.h"
#include "hearth/base/task.h"
#include "hearth/content/keyed_answers.h"
#include "hearth/http/request.h"

namespace hearth::api {

class KeyedAnswers {
 public:
  using Work = std::function<Task<http::Response>()>;

  explicit KeyedAnswers(content::KeyedAnswers& kept) : kept_(kept) {}

  // Without the header: what `work` answers. With it: the first success again, or what `work` answers, which is kept if it is a
  // success. `request` outlives the coroutine.
  Task<http::Response> answer_once(http::Request& request, auth::Caller caller, Work work);
  // Drops the coroutines that wait for another request. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters() { flights_.abandon_waiters(); }

 private:
  Task<http::Response> answer_next(content::IdempotencyKey key, Work work);

  content::KeyedAnswers& kept_;
  SingleFlight flights_;
};

}  // namespace hearth::api
