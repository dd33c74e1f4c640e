// Torrent: web seeds, which are peers in all but how they come and go.
#include <algorithm>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

std::optional<PeerId> Torrent::add_web_seed(const Endpoint& server,
                                            const wire::Handshake& handshake,
                                            std::optional<Duration> rtt, TimePoint now) {
  if (contradicted_ || paused_ || complete() || book_.refuses(server.address)) return std::nullopt;
  const PeerId id(next_peer_++);
  auto& peer = *peers_.emplace(id, std::make_unique<Peer>(id, server, layout_.piece_count(), true))
                    .first->second;
  peer.web_seed = true;
  peer.connected_at = peer.last_received = peer.last_sent = peer.patience_at = now;
  if (rtt) peer.pace.set_connect_rtt(*rtt);
  greet(peer, &handshake);
  accept_handshake(peer, handshake, now);
  flush(now);
  return id;
}

unsigned Torrent::connected() const {
  const auto counts = [](const auto& entry) {
    return !entry.second->closing && !entry.second->web_seed;
  };
  return static_cast<unsigned>(std::count_if(peers_.begin(), peers_.end(), counts));
}

/// Long runs make few requests over HTTP: this many blocks more are kept with a web seed than with
/// a peer, as far as they take little time.
std::size_t Torrent::run_ahead(const Peer& peer) {
  if (!peer.web_seed) return 0;
  const double blocks = peer.pace.rate_bps() * to_seconds(limits::kWebRunLasts) / kBlockSize;
  return std::min(static_cast<std::size_t>(blocks), limits::kWebRun);
}

}  // namespace swarmfs::engine
