#pragma once

// The nouns of likes, and their limits.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/base/ids.h"
#include "hearth/base/result.h"

namespace hearth::likes {

inline constexpr std::size_t kPostsPerReadMax = 1'000;
inline constexpr std::size_t kChangesPerBatchMax = 1'000;
inline constexpr std::size_t kLikesPerSessionMax = 500;  // of one answer

enum class LikeAction : std::uint8_t { kToggle, kLike, kUnlike };

inline constexpr std::chrono::minutes kIdempotencyKept{10};

// The same request again, within that time: the first answer is given again.
struct IdempotencyKey {
  std::string scope;    // hash of caller, method, path, key and, in a batch, the item's place
  std::string request;  // hash of the request's body
};

struct LikeChange {
  PostId post;
  SessionId session;
  LikeAction action = LikeAction::kToggle;
  std::optional<UtcMicros> at = {};  // when it happened, if not now: imports
  std::optional<IdempotencyKey> idempotency = {};
};

struct LikeOutcome {
  bool is_liked = false;
  std::uint32_t likes = 0;    // after the change
  std::uint64_t version = 0;  // of the count; grows with every change of the post
  bool changed = false;
  bool replayed = false;  // the answer of an earlier request with this idempotency key
};

// What a page shows of a post.
struct LikeView {
  std::uint32_t likes = 0;
  std::uint64_t version = 0;  // 0: never liked
  bool is_liked = false;      // by the session asked for
};

// A like as a list of a session's likes shows it.
struct LikedPost {
  std::string post;
  UtcMicros at{};
};

}  // namespace hearth::likes
