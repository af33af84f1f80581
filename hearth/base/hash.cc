#include "hearth/base/hash.h"

#include <openssl/rand.h>
#include <xxhash.h>

#include "hearth/base/assert.h"

namespace hearth {
namespace {

const std::uint64_t kSeed = [] {
  std::uint64_t seed = 0;
  HEARTH_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed) == 1);
  return seed;
}();

}  // namespace

std::uint64_t hash64(std::string_view bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), kSeed);
}
std::uint64_t checksum64(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace hearth
