// Torrent: whose place a newcomer may have when every connection is taken.
//
// Only a peer that is of no use to either side gives way, and only when nothing has passed for a
// while. What bounds a flood of newcomers: a host with a place gains no other, so one that comes
// again and again displaces one peer in all; all hosts together gain one place a second; and a
// newcomer that stays as idle gives way in its turn. A peer that is wanted, or that wants
// something, is never at stake.
#include <algorithm>
#include <tuple>
#include <vector>

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

void Torrent::count_connections() {
  ConnectionCounts counts;
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && !peer->web_seed) ++(peer->ready ? counts.established : counts.opening);
  counts.opening += static_cast<unsigned>(half_open_.size());
  places_.count(counts);
}

/// A dial was answered when others have taken the places meanwhile: one of those that have only
/// just come goes, this one included.
void Torrent::settle(Peer& newcomer, TimePoint now) {
  Peer* least = &newcomer;
  const auto rank = [&](const Peer& peer) { return pair_rank(config_.client_id, peer.client_id); };
  for (const auto& [id, peer] : peers_) {
    const bool fresh =
        now - peer->connected_at < limits::kSettling && peer->last_transfer == TimePoint{};
    if (!peer->closing && peer->ready && !peer->web_seed && fresh && rank(*peer) < rank(*least))
      least = peer.get();
  }
  drop(*least, "one connection too many", CloseReason::crowded, now);
}

void Torrent::set_max_connections(unsigned most, TimePoint now) {
  config_.peer_book.max_connections = most;
  book_.set_max_connections(most);
  places_.set_most(most);
  shed(most, now);
  dial_more(now);
}

void Torrent::shed(unsigned most, TimePoint now) {
  std::vector<Peer*> peers;
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && !peer->web_seed) peers.push_back(peer.get());
  const auto use = [&](const Peer* peer) {
    return std::tuple(peer->dialled && book_.named_by_user(peer->endpoint), peer->ready,
                      wanted(*peer), std::max(peer->connected_at, peer->last_transfer));
  };
  std::sort(peers.begin(), peers.end(),
            [&](const Peer* a, const Peer* b) { return use(a) < use(b); });
  for (std::size_t i = 0; i + most < peers.size(); ++i)
    drop(*peers[i], "there are too many connections", CloseReason::crowded, now);
  flush(now);
}

bool Torrent::wanted(const Peer& peer) {
  return peer.am_interested || peer.peer_interested || !peer.outstanding.empty() ||
         !peer.hash_fetches.empty() || !peer.upload_queue.empty() || peer.sending > 0 ||
         peer.leaf_requests > 0;
}

bool Torrent::idle(const Peer& peer, TimePoint now) const {
  if (peer.closing || !peer.ready || peer.web_seed || wanted(peer)) return false;
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
