// How a command tells of its failure.
#pragma once

#include "swarm/base/result.h"

namespace swarmfs::mount {

/// Prints "swarmfs: <message>" on stderr, in one line, and returns the exit code of its kind.
int report(const Error& error);

}  // namespace swarmfs::mount
