// The local networks that this machine is on, as its interfaces say now.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "swarm/engine/local_announces.h"
#include "swarm/engine/network_changes.h"

namespace swarmfs::net {

struct LocalInterface {
  unsigned index = 0;
  engine::LocalNetwork network;
};

/// Of interfaces that are up and take multicast, loopback left out: an entry for each address but
/// IPv6 link-local ones. Empty if the system does not say.
std::vector<LocalInterface> local_interfaces();

/// Addresses of interfaces that are up, by which others than the same network's may be reached:
/// neither loopback nor link-local ones, nor those that are not in use yet (tentative_addresses()).
/// Nothing if the system does not say.
std::optional<std::vector<engine::HostAddress>> host_addresses();

/// IPv6 addresses for which the system still looks whether another machine has them (RFC 4862), or
/// has found one: nothing can be sent from them. As they stand in /proc/net/if_inet6; what is not
/// of its form is left out.
std::vector<IpAddress> tentative_addresses(std::string_view if_inet6);

}  // namespace swarmfs::net
