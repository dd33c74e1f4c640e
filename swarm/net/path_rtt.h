// What the kernel knows of a TCP connection's path.
#pragma once

#include <optional>

#include "swarm/base/path_rtt.h"

namespace swarmfs::net {

/// Of a TCP socket; nothing before the first round trip, or if it is no such socket.
std::optional<PathRtt> path_rtt(int socket);

}  // namespace swarmfs::net
