// Canonical peer priority (BEP 40): both ends of a connection compute the same number for it, so
// that a swarm agrees on who connects to whom and newcomers always find room.
#pragma once

#include <cstdint>

#include "swarm/base/endpoint.h"

namespace swarmfs::engine {

/// The priority of a connection between two endpoints; higher is preferred, the order of the
/// arguments does not matter. BEP 40: CRC-32C over the masked, sorted addresses, or over the
/// sorted ports when the addresses are equal. The specification knows no pair of one IPv4 and one
/// IPv6 address: that gives 0.
std::uint32_t peer_priority(const Endpoint& a, const Endpoint& b);

}  // namespace swarmfs::engine
