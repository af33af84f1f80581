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

enum class ViewStep : std::uint8_t {
  kCounted,     // a viewer was counted
  kRemembered,  // a viewer was remembered and not counted
  kWritten,     // SQL got the item's number
};

// The views of a story or a chapter changed. The three numbers are the item's after the change: so those who follow replace
// what they have.
struct Viewed {
  std::string_view item = {};
  std::uint8_t kind = 0;  // of the item, as views number them
  ViewStep step = ViewStep::kCounted;
  std::uint64_t viewer = 0;    // 0 of kWritten
  UtcMicros at{};              // when it happened
  UtcMicros recorded_at{};     // when it came to be known: `at`, or later
  std::uint64_t views = 0;     // all
  std::uint64_t buffered = 0;  // of them not yet in SQL
  std::uint64_t direct = 0;    // of them counted by SQL itself
};

// Appends the event to a batch. A batch is the concatenation of its events.
void encode(const LikeChanged& event, std::string& batch);
void encode(const Viewed& event, std::string& batch);

// Calls `use` for each event of the kind it takes, in order, and passes over the others; the texts point into `batch`. Fails
// with kInternal on bytes that encode() cannot have written; events before the damage have been handed out by then.
Result<void> decode(std::string_view batch, FunctionRef<void(const LikeChanged&)> use);
Result<void> decode(std::string_view batch, FunctionRef<void(const Viewed&)> use);

}  // namespace hearth::outbox
