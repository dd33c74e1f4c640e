// Host names to addresses.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/net/route.h"

namespace swarmfs::net {

class NameThreads;

/// Names with fixed addresses, asked before the system.
using Hosts = std::map<std::string, std::vector<IpAddress>>;

/// The addresses of `host`, in the system's order and never empty. A literal address needs no
/// resolver and no thread. Errors: not_found, timed_out after `timeout`; permission with a proxy,
/// which is who looks names up then. The caller may be cancelled at once, and the loop may end,
/// even though getaddrinfo() itself cannot: its late answer finds nobody.
boost::asio::awaitable<Result<std::vector<IpAddress>>> resolve(RoutePtr route, std::string host,
                                                               Hosts hosts, Duration timeout);
/// The same, asking in these threads instead of those of the process.
boost::asio::awaitable<Result<std::vector<IpAddress>>> resolve(RoutePtr route, std::string host,
                                                               Hosts hosts, Duration timeout,
                                                               NameThreads& threads);

/// The same at once, on a loop of its own: this takes up to 20 seconds.
Result<std::vector<IpAddress>> resolve_now(RoutePtr route, const std::string& host);

}  // namespace swarmfs::net
