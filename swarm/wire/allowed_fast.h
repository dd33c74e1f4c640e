// The allowed-fast set (BEP 6): the pieces that a peer may ask for while it is choked.
#pragma once

#include <cstdint>
#include <vector>

#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::wire {

/// How many pieces BEP 6 suggests.
inline constexpr std::uint32_t kAllowedFastCount = 10;

/// The set for the peer at `address`, in the canonical order of BEP 6: min(count, pieces) distinct
/// indices. Peers of one IPv4 /24 share a set, so that many addresses of one network win nothing;
/// BEP 6 does not speak of IPv6, where the /64 takes that place.
std::vector<PieceIndex> allowed_fast_set(const IpAddress& address, const Sha1Hash& info_hash,
                                         std::uint32_t pieces,
                                         std::uint32_t count = kAllowedFastCount);

}  // namespace swarmfs::wire
