#pragma once

// Networks that are named in settings and rules, and whose request one is when proxies stand between.

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::limits {

inline constexpr std::size_t kNetworksMax = 1'000;  // of one list

// Read-only, thus thread-safe.
class AddressList {
 public:
  AddressList() = default;
  // Each is a network ("10.0.0.0/8", "2001:db8::/32") or one address. Fails with kInvalidArgument naming "field[index]".
  static Result<AddressList> parse(const std::vector<std::string>& networks, std::string_view field);

  bool contains(const boost::asio::ip::address& address) const;
  const std::vector<std::string>& texts() const { return texts_; }  // as given

 private:
  // An IPv4 network stands as its IPv4-mapped IPv6 one, so that there is one kind of comparison.
  struct Network {
    boost::asio::ip::address_v6::bytes_type bytes;
    unsigned bits;
  };
  static std::optional<Network> network_of(const std::string& text);

  std::vector<Network> networks_;
  std::vector<std::string> texts_;
};

// The address of the client behind a request that came from `peer` with this X-Forwarded-For (empty: with none). Anybody can
// write that header, so it is believed as far as trusted proxies wrote it: from its right end, while what wrote the entry
// is trusted. Nothing for a peer that is no address.
std::optional<boost::asio::ip::address> client_address(std::string_view peer, std::string_view forwarded_for, const AddressList& trusted);

// What stands for an address in a key: an IPv6 address counts as its /64, because a client has that many.
std::string counted_as(const boost::asio::ip::address& address);

}  // namespace hearth::limits
