// Torrent: whose place a newcomer may have when every connection is taken.
//
// Only a peer that is of no use to either side gives way, and only when nothing has passed for a
// while. What bounds a flood of newcomers: a host with a place gains no other, so one that comes
// again and again displaces one peer in all; all hosts together gain one place a second; and a
// newcomer that stays as idle gives way in its turn. A peer that is wanted, or that wants
// something, is never at stake.
#include <algorithm>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

namespace {

/// One machine, as far as addresses tell: IPv6 hosts have a whole /64 to call from.
bool same_host(const IpAddress& a, const IpAddress& b) {
  if (a.is_v4() || b.is_v4()) return a == b;
  constexpr std::ptrdiff_t kNetwork = 8;
  return std::equal(a.bytes().begin(), a.bytes().begin() + kNetwork, b.bytes().begin());
}

}  // namespace

bool Torrent::full() const { return connected() >= config_.peer_book.max_connections; }

bool Torrent::idle(const Peer& peer, TimePoint now) const {
  const bool wanted = peer.am_interested || peer.peer_interested || !peer.outstanding.empty() ||
                      !peer.hash_fetches.empty() || !peer.upload_queue.empty() ||
                      peer.sending > 0 || peer.leaf_requests > 0;
  if (peer.closing || !peer.ready || peer.web_seed || wanted) return false;
  if (now - std::max(peer.connected_at, peer.last_transfer) < limits::kIdleBeforeRoom) return false;
  return !(peer.dialled && book_.named_by_user(peer.endpoint));
}

/// The peer idle for longest, if one may give way now.
Torrent::Peer* Torrent::least_useful(TimePoint now) const {
  if (made_room_at_ && now - *made_room_at_ < limits::kMakeRoomEvery) return nullptr;
  Peer* least = nullptr;
  for (const auto& [id, peer] : peers_) {
    if (!idle(*peer, now)) continue;
    if (least == nullptr || std::max(peer->connected_at, peer->last_transfer) <
                                std::max(least->connected_at, least->last_transfer))
      least = peer.get();
  }
  return least;
}

/// Who is to go for a newcomer. Nobody, if its host has a place already.
Torrent::Peer* Torrent::gives_way_to(const Endpoint& newcomer, TimePoint now) const {
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && !peer->web_seed && same_host(peer->endpoint.address, newcomer.address))
      return nullptr;
  return least_useful(now);
}

}  // namespace swarmfs::engine
