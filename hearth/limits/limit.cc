#include "hearth/limits/limit.h"

#include <array>

#include "hearth/base/ids.h"

namespace hearth::limits {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"sliding_window", "gcra", "fixed_window"};

std::string range(std::string_view field, std::uint64_t least, std::uint64_t most) {
  return std::string(field) + " must be a whole number from " + std::to_string(least) + " to " + std::to_string(most);
}

}  // namespace

std::string_view name_of(Algorithm algorithm) {
  return kNames[static_cast<std::size_t>(algorithm)];
}

std::optional<Algorithm> algorithm_named(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Algorithm>(i);
  }
  return std::nullopt;
}

Result<void> validate(const Check& check) {
  if (!is_valid_id(check.key)) return invalid("key", invalid_id_message("key"));
  if (check.limit < 1 || check.limit > kLimitMax) return invalid("limit", range("limit", 1, kLimitMax));
  if (check.window < kWindowMin || check.window > kWindowMax) {
    return invalid("windowMs", range("windowMs", kWindowMin.count(), kWindowMax.count()));
  }
  if (check.cost < 1) return invalid("cost", range("cost", 1, kLimitMax));
  if (check.cost > check.limit) return invalid("cost", "cost is above the limit, so it would never be admitted");
  return {};
}

}  // namespace hearth::limits
