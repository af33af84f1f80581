#pragma once

// The compact form of a session id: most are UUIDs, and 16 bytes instead of 36 are half of the ledger and of memory.

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::likes {

using UuidBytes = std::array<char, 16>;

// The bytes of a UUID in its canonical form (lower case, with hyphens); nothing for any other text, so that unpacking
// gives back exactly what was packed.
std::optional<UuidBytes> pack_uuid(std::string_view text);
std::string unpack_uuid(std::string_view bytes);

}  // namespace hearth::likes
