// Torrent: peers that peers tell of (BEP 11), and where each came from.
#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

/// Others are told of whom they can dial: whose listening port is known.
void Torrent::note_member(const Peer& peer, TimePoint now) {
  if (!config_.exchange_peers || peer.web_seed || peer.closing || !peer.booked) return;
  namespace flags = wire::pex_flags;
  const PeerLink link = host_.link(peer.id);
  std::uint8_t said = 0;
  if (link.encrypted) said |= flags::kEncryption;
  if (peer.counted_seed || peer.upload_only) said |= flags::kSeed;
  if (link.transport == "utp") said |= flags::kUtp;
  if (peer.holepunch_id != 0) said |= flags::kHolepunch;
  if (peer.dialled) said |= flags::kReachable;
  exchange_.joined(peer.id, *peer.booked, said);
  wake_to_exchange(now);
}

void Torrent::on_exchange_message(Peer& peer, ByteView payload, TimePoint now) {
  if (!config_.exchange_peers) return;  // nobody asked for it
  const auto message = wire::parse_pex(payload);
  if (!message) return drop(peer, message.error().message, CloseReason::misbehaved, now);
  const auto heard = exchange_.on_message(peer.id, peer.endpoint.address, *message, now);
  if (heard.flood) return drop(peer, "floods us with peers", CloseReason::misbehaved, now);
  // A seed is sought by those who want something; as in libtorrent.
  if (complete()) return;
  for (const Endpoint& endpoint : heard.learnt) book_.add(endpoint, PeerSource::pex, now);
  dial_more(now);
}

/// Tells everybody what it is time to tell.
void Torrent::exchange_peers(TimePoint now) {
  while (const auto due = exchange_.next(now)) {
    Peer* const peer = find(due->to);
    if (peer != nullptr && peer->pex_id != 0)
      wire::append_extended(to(*peer), peer->pex_id, wire::encode(due->message));
  }
  wake_to_exchange(now);
}

void Torrent::wake_to_exchange(TimePoint now) {
  if (const auto due = exchange_.deadline()) wake_at(std::max(*due, now + limits::kMinWake));
}

std::optional<PeerSource> Torrent::source_of(const Peer& peer) const {
  if (peer.web_seed) return std::nullopt;
  const auto known = peer.dialled ? book_.source_of(peer.endpoint) : std::nullopt;
  return known.value_or(PeerSource::incoming);
}

void Torrent::leave_swarm(TimePoint now) {
  book_.forget_swarm();
  for (auto& [id, peer] : peers_)
    if (!peer->web_seed && !book_.named_by_user(peer->booked.value_or(peer->endpoint)))
      drop(*peer, "of another tracker", CloseReason::useless, now);
  flush(now);
}

}  // namespace swarmfs::engine
