// Ports on a router by UPnP (WANIPConnection, WANPPPConnection), by libminiupnpc.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/nat/mapping.h"

namespace swarmfs::net {

/// What a router has given, and by whom it is given back.
struct UpnpMapping {
  std::string control_url, service;
  std::vector<nat::Port> ports;  ///< of this machine
  Endpoint external;             ///< the address outside, and the number of all of them there
};

/// Seeks a router and has it lead all the ports to this machine, at one number outside: their own,
/// or one of the next few. Asking again renews. Blocks for seconds, or longer; in any thread, on
/// the system's own routes alone. Only routers at local addresses are believed, and `listen`,
/// unless it is unspecified, has to be where the router sees this machine. Once `given_up`, nothing
/// more is mapped, and what has been is given back. Errors: not_found (no router, or none that
/// does), network.
Result<UpnpMapping> upnp_map(const std::vector<nat::Port>& ports, const IpAddress& listen,
                             const std::atomic<bool>& given_up);

/// Gives it back. Blocks as long as the router takes.
void upnp_unmap(const UpnpMapping& mapping);

}  // namespace swarmfs::net
