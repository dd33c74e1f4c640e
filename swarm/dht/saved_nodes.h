// The nodes that a run leaves to the next one, as bytes of a file.
#pragma once

#include <vector>

#include "swarm/base/result.h"
#include "swarm/wire/krpc.h"

namespace swarmfs::dht {

inline constexpr std::size_t kMaxSavedNodes = 400;  ///< of each family
inline constexpr std::size_t kMaxSavedBytes = 64 * 1024;

/// A bencoded dictionary with "nodes" and "nodes6" in the form of BEP 5 and 32. Ids of our own are
/// not kept: several programs of one user may run at a time, and each needs its own.
Bytes encode_saved_nodes(const std::vector<wire::NodeInfo>& nodes);
/// Errors: bad_input.
Result<std::vector<wire::NodeInfo>> decode_saved_nodes(ByteView bytes);

}  // namespace swarmfs::dht
