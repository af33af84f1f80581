#include "hearth/limits/address_list.h"

#include <gtest/gtest.h>

namespace hearth::limits {
namespace {

AddressList list(const std::vector<std::string>& networks) {
  auto parsed = AddressList::parse(networks, "list");
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : AddressList();
}

bool holds(const std::vector<std::string>& networks, const char* address) {
  return list(networks).contains(boost::asio::ip::make_address(address));
}

std::string client(const char* peer, const char* forwarded_for, const std::vector<std::string>& trusted = {}) {
  auto address = client_address(peer, forwarded_for, list(trusted));
  return address ? address->to_string() : "none";
}

TEST(AddressListTest, HoldsTheAddressesOfItsNetworks) {
  EXPECT_TRUE(holds({"10.0.0.0/8"}, "10.255.0.1"));
  EXPECT_FALSE(holds({"10.0.0.0/8"}, "11.0.0.1"));
  EXPECT_TRUE(holds({"192.0.2.128/25"}, "192.0.2.200"));
  EXPECT_FALSE(holds({"192.0.2.128/25"}, "192.0.2.127"));
  EXPECT_TRUE(holds({"192.0.2.1"}, "192.0.2.1"));
  EXPECT_FALSE(holds({"192.0.2.1"}, "192.0.2.2"));
  EXPECT_TRUE(holds({"2001:db8::/33"}, "2001:db8:7fff::1"));
  EXPECT_FALSE(holds({"2001:db8::/33"}, "2001:db8:8000::1"));
  EXPECT_TRUE(holds({"0.0.0.0/0"}, "203.0.113.7"));
  EXPECT_FALSE(holds({"0.0.0.0/0"}, "2001:db8::1"));
  EXPECT_TRUE(holds({"::1", "10.0.0.0/8"}, "::1"));
  EXPECT_FALSE(holds({}, "10.0.0.1"));
}

TEST(AddressListTest, TakesTheHostBitsOfANetworkAsNotGiven) {
  EXPECT_TRUE(holds({"10.1.2.3/8"}, "10.9.9.9"));
  EXPECT_TRUE(holds({"2001:db8::1/32"}, "2001:db8:ffff::1"));
}

TEST(AddressListTest, KnowsAnIpv4AddressThatCameOverIpv6) {
  EXPECT_TRUE(holds({"10.0.0.0/8"}, "::ffff:10.0.0.1"));
  EXPECT_TRUE(holds({"::ffff:10.0.0.1"}, "10.0.0.1"));
  EXPECT_EQ(client("::ffff:10.0.0.1", ""), "10.0.0.1");
}

TEST(AddressListTest, NamesWhatIsNoNetwork) {
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "example.org", "10.0.0.1/", "10.0.0.1/8/8"}) {
    auto parsed = AddressList::parse({"10.0.0.0/8", bad}, "rules[0].deny");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().field, "rules[0].deny[1]") << bad;
  }
}

TEST(ClientAddressTest, BelievesTheHeaderOfATrustedPeerAlone) {
  EXPECT_EQ(client("203.0.113.7", "198.51.100.1"), "203.0.113.7");
  EXPECT_EQ(client("203.0.113.7", "198.51.100.1", {"10.0.0.0/8"}), "203.0.113.7");
  EXPECT_EQ(client("10.0.0.1", "198.51.100.1", {"10.0.0.0/8"}), "198.51.100.1");
  EXPECT_EQ(client("10.0.0.1", "", {"10.0.0.0/8"}), "10.0.0.1");
}

TEST(ClientAddressTest, IsTheRightmostThatIsNotTrusted) {
  EXPECT_EQ(client("10.0.0.1", "1.1.1.1, 198.51.100.1,10.0.0.2 ", {"10.0.0.0/8"}), "198.51.100.1");
  EXPECT_EQ(client("10.0.0.1", "10.0.0.3, 10.0.0.2", {"10.0.0.0/8"}), "10.0.0.3");  // all are ours: the first of them
}

TEST(ClientAddressTest, StopsAtWhatIsNoAddress) {
  EXPECT_EQ(client("10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", {"10.0.0.0/8"}), "10.0.0.2");
  EXPECT_EQ(client("10.0.0.1", ",", {"10.0.0.0/8"}), "10.0.0.1");
  EXPECT_EQ(client("", "198.51.100.1", {"10.0.0.0/8"}), "none");
}

TEST(ClientAddressTest, ReadsEntriesWithPorts) {
  EXPECT_EQ(client("10.0.0.1", "198.51.100.1:4711", {"10.0.0.0/8"}), "198.51.100.1");
  EXPECT_EQ(client("10.0.0.1", "[2001:db8::1]:4711", {"10.0.0.0/8"}), "2001:db8::1");
  EXPECT_EQ(client("10.0.0.1", "[2001:db8::1]", {"10.0.0.0/8"}), "2001:db8::1");
  EXPECT_EQ(client("10.0.0.1", "2001:db8::1", {"10.0.0.0/8"}), "2001:db8::1");
  EXPECT_EQ(client("10.0.0.1", "[", {"10.0.0.0/8"}), "10.0.0.1");
}

TEST(ClientAddressTest, CountsAnIpv6ClientAsItsNetwork) {
  using boost::asio::ip::make_address;
  EXPECT_EQ(counted_as(make_address("198.51.100.1")), "198.51.100.1");
  EXPECT_EQ(counted_as(make_address("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
}

}  // namespace
}  // namespace hearth::limits
