#pragma once

// Makes large NDJSON (docs/data-format.md) for trials and benchmarks: posts of skewed popularity, and the sessions that
// like them.
//
// The number of likes of the k-th most popular post is proportional to 1/k^0.99 (Zipf), but no post has more likes than
// there are sessions: what is cut there goes to the others. Which post is how popular, which sessions like it and the order
// of the ratings are pseudo-random permutations, computed and not stored: memory is 16 bytes a post, whatever the number
// of likes, and every (post, session) pair comes once.
//
// The same options give the same bytes, on every machine with IEEE doubles.

#include <cstdint>
#include <string_view>

#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"

namespace hearth::app::dataset {

inline constexpr std::uint64_t kGeneratedPostsMax = 50'000'000;
inline constexpr std::uint64_t kGeneratedSessionsMax = 1'000'000'000;
inline constexpr double kPopularityExponent = 0.99;

struct GeneratorOptions {
  std::uint64_t posts = 0;
  std::uint64_t sessions = 0;
  std::uint64_t likes = 0;  // exactly so many distinct (post, session) pairs
  std::uint64_t seed = 1;
  bool uuid_post_ids = false;  // instead of post-1, post-2, …
};

// Hands the lines to `write` in pieces of about a megabyte; stops at its first failure.
// kInvalidArgument naming the option: more likes than pairs, or a number above its limit.
Result<void> generate(const GeneratorOptions& options, FunctionRef<Result<void>(std::string_view bytes)> write);

}  // namespace hearth::app::dataset
