// Threads that nobody ever waits for.
#pragma once

#include <functional>

#include "swarm/base/result.h"

namespace swarmfs::net {

/// Runs `work` in a thread of its own, which takes no signals: those of the process are for who
/// waits for them. `work` throws nothing, and what it holds lives by itself. io: there is no
/// thread, and `work` is not called.
Result<> run_detached(std::function<void()> work);

}  // namespace swarmfs::net
