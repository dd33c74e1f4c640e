// The one clock of ours, for what does input and output; everything else is told the time.
#pragma once

#include "swarm/base/clock.h"

namespace swarmfs {

inline TimePoint now() { return std::chrono::steady_clock::now(); }

}  // namespace swarmfs
