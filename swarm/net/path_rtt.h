// What the kernel knows of a TCP connection's path.
#pragma once

#include <optional>

#include "swarm/base/clock.h"

namespace swarmfs::net {

/// The shortest round trip that the kernel has seen on a TCP socket in the last minutes; nothing
/// before the first one, or if it is no such socket.
std::optional<Duration> path_rtt(int socket);

}  // namespace swarmfs::net
