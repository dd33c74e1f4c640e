// What a read waited for, in words.
#pragma once

#include <string>

#include "swarm/base/clock.h"
#include "swarm/engine/wait_trace.h"

namespace swarmfs::mount {

/// A name that programs may rely on: "choked", "no_peers" and so on, as the enumerator is called.
const char* name_of(engine::WaitCause cause);

/// Of a read that ended at `end`: "first block from 10.0.0.2:6881 after 51 ms", "everybody who has
/// it choked us (3.1 s of 3.2 s)".
std::string words(const engine::WaitTrace& trace, TimePoint end);

}  // namespace swarmfs::mount
