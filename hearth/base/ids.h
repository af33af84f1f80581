#pragma once

// Ids: 1–128 bytes of printable ASCII without space, `"`, `\`, `{`, `}`.
//
// Each kind of id is its own type, so that a session cannot be passed where a post is meant.
// An Id in hand is valid: the only way to make one is parse().

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "hearth/base/result.h"

namespace hearth {

inline constexpr std::size_t kIdBytesMax = 128;

bool is_valid_id(std::string_view text);

template <typename Tag>
class Id {
 public:
  // Fails with kInvalidArgument naming `field`.
  static Result<Id> parse(std::string_view text, std::string_view field) {
    if (!is_valid_id(text)) return invalid(std::string(field), invalid_message(field));
    return Id(std::string(text));
  }
  // For text that was checked before, as what our own files hold. REQUIRES: is_valid_id(text).
  static Id trusted(std::string text) { return Id(std::move(text)); }

  std::string_view view() const { return value_; }
  const std::string& str() const { return value_; }

  friend bool operator==(const Id&, const Id&) = default;
  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  explicit Id(std::string value) : value_(std::move(value)) {}
  static std::string invalid_message(std::string_view field);
  std::string value_;
};

std::string invalid_id_message(std::string_view field);

template <typename Tag>
std::string Id<Tag>::invalid_message(std::string_view field) {
  return invalid_id_message(field);
}

using PostId = Id<struct PostTag>;
using SessionId = Id<struct SessionTag>;  // who likes: a user's or an anonymous visitor's opaque id
using UserId = Id<struct UserTag>;

}  // namespace hearth
