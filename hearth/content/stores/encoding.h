#pragma once

// Values in the form that both databases store them in.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/content/content.h"

namespace hearth::content {

inline std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}
inline UtcMicros time_of(std::int64_t micros) {
  return UtcMicros(std::chrono::microseconds(micros));
}

// URLs hold no newline, so one a line is unambiguous.
std::string join_lines(const std::vector<std::string>& lines);
std::vector<std::string> split_lines(std::string_view text);

// The answer to a request with an idempotency key, as JSON. Decoding fails only on text that encode_answer() did not write.
std::string encode_answer(const Result<Post>& answer);
Result<Result<Post>> decode_answer(std::string text);

}  // namespace hearth::content
