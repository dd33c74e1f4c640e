// The local networks that this machine is on, as its interfaces say now.
#pragma once

#include <optional>
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
/// neither loopback nor link-local ones. Nothing if the system does not say.
std::optional<std::vector<engine::HostAddress>> host_addresses();

}  // namespace swarmfs::net
