// The round trip of a connection's path.
#pragma once

#include "swarm/base/clock.h"

namespace swarmfs {

struct PathRtt {
  Duration shortest{};  ///< of the last minutes: without queues
  Duration now{};       ///< with what waits in the network's queues at present

  Duration queueing() const { return now > shortest ? now - shortest : Duration{}; }
};

}  // namespace swarmfs
