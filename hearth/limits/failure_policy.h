#pragma once

// What a limit answers while the store that counts is away or full.

#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth::limits {

enum class OnFailure : std::uint8_t {
  kLocal,   // as the memory of this node says: several nodes together admit up to the limit each
  kOpen,    // allowed
  kClosed,  // refused
};
std::string_view name_of(OnFailure policy);  // "local" …
std::optional<OnFailure> on_failure_named(std::string_view name);

}  // namespace hearth::limits
