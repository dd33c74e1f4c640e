// Where the system sends what is not on its own networks, from its tables as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "swarm/base/endpoint.h"

namespace swarmfs::nat {

struct Gateway {
  IpAddress address;
  std::string device;  ///< the interface that leads there; needed where the address is link-local
  bool operator==(const Gateway&) const = default;
};

/// From /proc/net/route: the default route of the least metric that has a gateway.
std::optional<Gateway> default_route_v4(std::string_view table);
/// The same from /proc/net/ipv6_route.
std::optional<Gateway> default_route_v6(std::string_view table);

}  // namespace swarmfs::nat
