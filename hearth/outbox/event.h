#pragma once

// What happened to live state, as those who follow it see it.

#include <cstdint>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"

namespace hearth::outbox {

// A session began or ceased to like a post. `likes` and `version` are the post's after the change; `previous` is the
// version before it, which lets a consumer see that it has missed nothing. Versions of a post only grow.
struct LikeChanged {
  std::string_view post;
  std::string_view session;
  std::uint64_t version = 0;
  std::uint64_t previous = 0;
  std::uint32_t likes = 0;
  bool is_liked = false;
  UtcMicros at{};
};

// Appends the event to a batch. A batch is the concatenation of its events.
void encode(const LikeChanged& event, std::string& batch);

// Calls `use` for each event, in order; the views point into `batch`. Fails with kInternal on bytes that encode() cannot
// have written; events before the damage have been handed out by then.
Result<void> decode(std::string_view batch, FunctionRef<void(const LikeChanged&)> use);

}  // namespace hearth::outbox
