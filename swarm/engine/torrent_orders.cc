// Torrent: what the user orders: pause, rate limits, and what is to be fetched before the rest.
#include "swarm/engine/torrent.h"

namespace swarmfs::engine {

void Torrent::pause(TimePoint now) {
  if (std::exchange(paused_, true)) return;
  for (auto& [id, peer] : peers_) drop(*peer, "paused", CloseReason::paused, now);
  flush(now);
}

void Torrent::resume(TimePoint now) {
  if (!std::exchange(paused_, false)) return;
  host_.need_peers();
  dial_more(now);
  refill_ = true;
  flush(now);
}

void Torrent::set_limits(const RateLimits& limits, TimePoint now) {
  down_gate_.own().set_rate(limits.down_bps, limits.reads_exempt, now);
  up_gate_.own().set_rate(limits.up_bps, false, now);
  limits_changed(now);
}

void Torrent::set_ports(std::uint16_t listen, std::uint16_t dht, TimePoint now) {
  if (config_.dht_port == 0) dht = 0;
  const bool moved = std::exchange(config_.listen_port, listen) != listen;
  const bool node_moved = std::exchange(config_.dht_port, dht) != dht;
  for (auto& [id, peer] : peers_) {
    if (!peer->ready || peer->closing || peer->web_seed) continue;
    if (moved && peer->extended) extend(*peer);
    if (node_moved && peer->has_node && dht != 0) wire::append_port(to(*peer), dht);
  }
  flush(now);
}

void Torrent::set_filter(AddressFilterPtr filter, TimePoint now) {
  book_.set_filter(std::move(filter));
  for (auto& [id, peer] : peers_)
    if (book_.refuses(peer->endpoint.address))
      drop(*peer, "blocked by the IP filter", CloseReason::useless, now);
  flush(now);
}

void Torrent::limits_changed(TimePoint now) {
  held_back_ = false;
  send_turns_.clear();
  for (auto& [id, peer] : peers_)
    if (!peer->closing) send_blocks(*peer, now);
  refill_ = true;
  flush(now);
}

void Torrent::set_pinned(std::span<const Layout::PieceRange> ranges, TimePoint now) {
  pinned_ = Bitfield(layout_.piece_count());
  pinned_missing_ = WantedPieces(layout_.piece_count());
  for (const Layout::PieceRange& range : ranges)
    for (PieceIndex piece = range.first; piece < range.end; ++piece) {
      pinned_.set(piece);
      if (!have().test(piece)) pinned_missing_.add(piece);
    }
  want_hashes_ = true;
  refill_ = true;
  flush(now);
}

void Torrent::prefetch(const Layout::PieceRange& range, TimePoint now) {
  for (PieceIndex piece = range.first; piece < range.end; ++piece)
    if (!have().test(piece)) prefetch_.add(piece);
  want_hashes_ = true;
  refill_ = true;
  flush(now);
}

/// Each peer works on a piece of its own, the first that nobody has begun; where there is none,
/// all help with what is begun. The user's disk is filled as far as it goes: it was asked for.
std::optional<wire::BlockRef> Torrent::next_wanted(const WantedPieces& wanted, Peer& peer) {
  if (wanted.empty() || disk_full_) return std::nullopt;
  for (const bool help : {false, true}) {
    const auto piece = wanted.first([&](PieceIndex candidate) {
      if (!may_ask(peer, candidate)) return false;
      const PartialPiece* p = partial(candidate);
      if (p == nullptr) return !help;
      const bool anyones = p->sole == PeerId{} || p->sole == peer.id;
      return p->free > 0 && (anyones || (help && !p->on_probation));
    });
    if (!piece) continue;
    if (partial(*piece) == nullptr) {
      if (!make_room()) continue;
      begin_piece(*piece)->sole = peer.id;
    }
    return free_block(*piece, peer, 0, layout_.block_count(*piece));
  }
  return std::nullopt;
}

}  // namespace swarmfs::engine
