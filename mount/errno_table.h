// Which errno a program sees for which failure: the one place that says.
#pragma once

#include "swarm/base/result.h"

namespace swarmfs::mount {

/// A positive errno. Documented in SEMANTICS.md.
int errno_for(ErrorKind kind);

}  // namespace swarmfs::mount
