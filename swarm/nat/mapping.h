// What a router is asked for, and what it has given.
#pragma once

#include <cstdint>
#include <string_view>

namespace swarmfs::nat {

enum class Protocol : std::uint8_t { tcp, udp };

/// A port of this machine that others are to reach.
struct Port {
  Protocol protocol = Protocol::tcp;
  std::uint16_t number = 0;  ///< never 0 in a request: that means all of them (RFC 6887 11.1)
  bool operator==(const Port&) const = default;
};

/// How a router was asked.
enum class Method : std::uint8_t { none, pcp, nat_pmp, upnp };

/// "PCP", "NAT-PMP", "UPnP", or "none".
std::string_view to_string(Method method);

}  // namespace swarmfs::nat
