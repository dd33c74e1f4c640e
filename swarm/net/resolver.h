// Host names to addresses.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"

namespace swarmfs::net {

/// Names with fixed addresses, asked before the system.
using Hosts = std::map<std::string, std::vector<IpAddress>>;

/// The addresses of `host`, in the system's order and never empty. A literal address needs no
/// resolver and no thread. Errors: not_found, timed_out after `timeout`. The caller may be
/// cancelled at once even though getaddrinfo() itself cannot: its late answer is dropped.
boost::asio::awaitable<Result<std::vector<IpAddress>>> resolve(std::string host, Hosts hosts,
                                                               Duration timeout);

}  // namespace swarmfs::net
