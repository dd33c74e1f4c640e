// Host names to addresses by one interface: the system's resolver cannot be held to any.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/net/route.h"

namespace swarmfs::net {

/// Asks the hosts file, then the name servers of /etc/resolv.conf by the interface of the route,
/// and nobody else: servers that it does not lead to (a resolver on this machine) do not answer.
/// Errors: not_found, timed_out.
boost::asio::awaitable<Result<std::vector<IpAddress>>> bound_lookup(RoutePtr route,
                                                                    std::string host,
                                                                    Duration timeout);

}  // namespace swarmfs::net
