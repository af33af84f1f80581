#include "hearth/limits/address_list.h"

#include <algorithm>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

namespace hearth::limits {
namespace {

namespace ip = boost::asio::ip;

constexpr unsigned kMappedBits = 96;  // of ::ffff:0:0/96
constexpr unsigned short kIpv6ClientBits = 64;

ip::address_v6 as_v6(const ip::address& address) {
  return address.is_v4() ? ip::make_address_v6(ip::v4_mapped, address.to_v4()) : address.to_v6();
}

// An IPv4 address that came over an IPv6 socket is one.
ip::address plain(const ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

bool shares_prefix(const ip::address_v6::bytes_type& a, const ip::address_v6::bytes_type& b, unsigned bits) {
  unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  unsigned rest = bits % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

std::optional<ip::address> address_of(std::string_view text) {
  boost::system::error_code error;
  auto address = ip::make_address(text, error);
  if (error) return std::nullopt;
  return plain(address);
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// Some proxies write the port too: "192.0.2.1:4711", "[2001:db8::1]:4711", "[2001:db8::1]".
std::optional<ip::address> forwarded_address(std::string_view entry) {
  if (entry.starts_with('[')) return address_of(entry.substr(1, entry.find(']') - 1));
  if (std::ranges::count(entry, ':') == 1) entry = entry.substr(0, entry.find(':'));
  return address_of(entry);
}

}  // namespace

std::optional<AddressList::Network> AddressList::network_of(const std::string& text) {
  boost::system::error_code error;
  if (auto network = ip::make_network_v4(text, error); !error) {
    return Network{as_v6(network.network()).to_bytes(), kMappedBits + network.prefix_length()};
  }
  if (auto network = ip::make_network_v6(text, error); !error) return Network{network.network().to_bytes(), network.prefix_length()};
  if (auto address = address_of(text)) return Network{as_v6(*address).to_bytes(), 128};
  return std::nullopt;
}

Result<AddressList> AddressList::parse(const std::vector<std::string>& networks, std::string_view field) {
  AddressList list;
  for (std::size_t i = 0; i < networks.size(); ++i) {
    auto network = network_of(networks[i]);
    if (!network) {
      auto name = std::string(field) + "[" + std::to_string(i) + "]";
      return invalid(name, name + " must be an address or a network, as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32");
    }
    list.networks_.push_back(*network);
  }
  list.texts_ = networks;
  return list;
}

bool AddressList::contains(const ip::address& address) const {
  if (networks_.empty()) return false;
  auto bytes = as_v6(address).to_bytes();
  return std::ranges::any_of(networks_, [&](const Network& network) { return shares_prefix(network.bytes, bytes, network.bits); });
}

std::optional<ip::address> client_address(std::string_view peer, std::string_view forwarded_for, const AddressList& trusted) {
  auto address = address_of(peer);
  while (address && !forwarded_for.empty() && trusted.contains(*address)) {
    auto comma = forwarded_for.rfind(',');
    auto entry = trim(comma == forwarded_for.npos ? forwarded_for : forwarded_for.substr(comma + 1));
    auto next = forwarded_address(entry);
    if (!next) break;  // what a proxy does not know ("unknown") stands for the proxy
    address = next;
    forwarded_for = comma == forwarded_for.npos ? std::string_view() : forwarded_for.substr(0, comma);
  }
  return address;
}

std::string counted_as(const ip::address& address) {
  if (address.is_v4()) return address.to_string();
  return ip::make_network_v6(address.to_v6(), kIpv6ClientBits).canonical().to_string();
}

}  // namespace hearth::limits
