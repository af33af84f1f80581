#pragma once

// Which addresses strangers may make us connect to: those of the public internet, and no other.

#include <sys/socket.h>

namespace hearth::web {

// False for loopback, private, shared, link-local, multicast, documentation, benchmark and reserved addresses, for those of clouds'
// own services, for IPv6 that is not global unicast, and for tunnels. IPv4 written or translated into IPv6 (::ffff:0:0/96,
// 64:ff9b::/96) counts as that IPv4. An internal host with a public address is public: only a firewall knows it.
bool is_public(const sockaddr& address);

}  // namespace hearth::web
