#include "hearth/drivers/web/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace hearth::web {
namespace {

constexpr std::uint32_t ipv4(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

struct Block4 {
  std::uint32_t prefix;
  int bits;
};

// IANA's registry of special-purpose IPv4 addresses, as far as they are not for everyone; multicast; reserved.
constexpr Block4 kSpecial4[] = {
    {ipv4(0, 0, 0, 0), 8},         // "this host"
    {ipv4(10, 0, 0, 0), 8},        // private
    {ipv4(100, 64, 0, 0), 10},     // shared by a carrier's customers; Alibaba's metadata
    {ipv4(127, 0, 0, 0), 8},       // loopback
    {ipv4(168, 63, 129, 16), 32},  // Azure's service of each virtual machine
    {ipv4(169, 254, 0, 0), 16},    // link-local; metadata of most clouds
    {ipv4(172, 16, 0, 0), 12},     // private
    {ipv4(192, 0, 0, 0), 24},      // protocol assignments; Oracle's metadata
    {ipv4(192, 0, 2, 0), 24},      // documentation
    {ipv4(192, 88, 99, 0), 24},    // relays to 6to4
    {ipv4(192, 168, 0, 0), 16},    // private
    {ipv4(198, 18, 0, 0), 15},     // benchmarks
    {ipv4(198, 51, 100, 0), 24},   // documentation
    {ipv4(203, 0, 113, 0), 24},    // documentation
    {ipv4(224, 0, 0, 0), 4},       // multicast
    {ipv4(240, 0, 0, 0), 4},       // reserved; broadcast
};

struct Block6 {
  std::uint16_t prefix[4];  // the first 64 bits
  int bits;
};

constexpr Block6 kGlobalUnicast = {{0x2000}, 3};

// Within global unicast.
constexpr Block6 kSpecial6[] = {
    {{0x2001, 0}, 23},      // protocol assignments: Teredo, benchmarks, ORCHID
    {{0x2001, 0xdb8}, 32},  // documentation
    {{0x2002}, 16},         // 6to4: tunnels to any IPv4 address
    {{0x3fff}, 20},         // documentation
};

bool is_public4(std::uint32_t address) {
  for (const auto& block : kSpecial4) {
    if ((address ^ block.prefix) >> (32 - block.bits) == 0) return false;
  }
  return true;
}

bool is_within(std::uint64_t first_half, const Block6& block) {
  std::uint64_t prefix = 0;
  for (auto part : block.prefix) prefix = prefix << 16 | part;
  return (first_half ^ prefix) >> (64 - block.bits) == 0;
}

bool is_public6(const in6_addr& address) {
  constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::uint8_t kTranslated[12] = {0, 0x64, 0xff, 0x9b};
  const std::uint8_t* bytes = address.s6_addr;
  if (std::memcmp(bytes, kMapped, 12) == 0 || std::memcmp(bytes, kTranslated, 12) == 0) {
    return is_public4(ipv4(bytes[12], bytes[13], bytes[14], bytes[15]));
  }
  std::uint64_t first_half = 0;
  for (int i = 0; i < 8; ++i) first_half = first_half << 8 | bytes[i];
  if (!is_within(first_half, kGlobalUnicast)) return false;
  for (const auto& block : kSpecial6) {
    if (is_within(first_half, block)) return false;
  }
  return true;
}

}  // namespace

bool is_public(const sockaddr& address) {
  if (address.sa_family == AF_INET) return is_public4(ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr));
  if (address.sa_family == AF_INET6) return is_public6(reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  return false;
}

}  // namespace hearth::web
