#pragma once

// The answers that requests with an Idempotency-Key got, where the effect is not content's: it is safe to repeat, or its
// repetition costs little, so that the answer may be kept after it.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <optional>
#include <string>

#include "hearth/base/task.h"
#include "hearth/content/content.h"

namespace hearth::content {

class KeyedAnswers {
 public:
  virtual ~KeyedAnswers() = default;

  // The answer kept within kIdempotencyKept. kIdempotencyKeyReused: the key came with another request.
  virtual Task<Result<std::optional<std::string>>> find(IdempotencyKey key) = 0;
  // Keeps it, and returns the one that counts: an earlier one, if there is one. Fails as find() does.
  virtual Task<Result<std::string>> keep(IdempotencyKey key, std::string answer) = 0;
};

}  // namespace hearth::content
