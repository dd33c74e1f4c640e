// A connection that began before its torrent was known, with all that a Torrent has to know of it.
#pragma once

#include <optional>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/engine/peer_book.h"
#include "swarm/wire/handshake.h"

namespace swarmfs::engine {

/// Our handshake, an extension handshake, "have none" (BEP 6, if the peer knows it) and
/// "interested" have gone out on it.
struct AdoptedPeer {
  Endpoint endpoint;
  PeerSource source = PeerSource::tracker;  ///< who told us of it; of a dialled one
  bool dialled = false;
  bool v2 = false;  ///< both sides named the truncated v2 hash: BEP 52 messages may flow
  wire::Handshake theirs;
  std::optional<Duration> rtt;  ///< that opening the connection took
  Bytes received;               ///< whole messages that came since their handshake, in order
};

}  // namespace swarmfs::engine
