#pragma once

// Hashes of text that clients choose: XXH3 under a seed of this process, so that nobody can aim at one bucket.
// Not for anything that is stored; stored checksums use checksum64().

#include <cstdint>
#include <string_view>

namespace hearth {

std::uint64_t hash64(std::string_view bytes);      // differs from process to process
std::uint64_t checksum64(std::string_view bytes);  // the same for ever

// For tables that are looked up by string_view.
struct TextHash {
  using is_transparent = void;
  using is_avalanching = void;  // boost::unordered mixes no further
  std::size_t operator()(std::string_view text) const { return hash64(text); }
};

}  // namespace hearth
