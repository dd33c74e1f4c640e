// Announcements of torrents on the local network (BEP 14): small HTTP-like datagrams to a
// multicast group.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

struct LocalAnnounce {
  std::uint16_t port = 0;               ///< where the sender takes peers, over 0
  std::vector<Sha1Hash> info_hashes{};  ///< one at least; of v2 torrents the truncated ones
  std::string cookie{};  ///< by which a sender knows its own; printable, may be empty
  bool operator==(const LocalAnnounce&) const = default;
};

/// Info hashes in one datagram, so that it fits a packet of 1400 bytes.
inline constexpr std::size_t kMaxLocalHashes = 20;

/// BEP 14: 239.192.152.143:6771, or [ff15::efc0:988f]:6771.
Endpoint local_discovery_group(bool v4);

Bytes encode(const LocalAnnounce& announce, bool v4);

/// Names of headers in any case, spaces around values, and unknown headers are fine; hashes that
/// are not 40 hexadecimal digits, and those beyond kMaxLocalHashes, are passed over. Error
/// (protocol): not a BT-SEARCH, no port, or no hash left.
Result<LocalAnnounce> parse_local_announce(ByteView datagram);

}  // namespace swarmfs::wire
