#include "swarm/dht/peer_storage.h"

#include <algorithm>
#include <utility>

#include "swarm/dht/scrape_filter.h"

namespace swarmfs::dht {

void PeerStorage::add(const Sha1Hash& info_hash, const Endpoint& peer, bool seed, TimePoint now) {
  auto it = torrents_.find(info_hash);
  if (it != torrents_.end()) {
    count_ -= std::erase_if(it->second, [&](const Peer& other) {
      return peer.address.is_local() ? other.endpoint == peer
                                     : other.endpoint.address == peer.address;
    });
    if (it->second.size() >= kMaxPeers) {
      it->second.erase(it->second.begin());
      --count_;
    }
  }
  if (it == torrents_.end() && torrents_.size() >= kMaxTorrents) make_room();
  if (count_ >= kMaxAllPeers) make_room();
  torrents_[info_hash].push_back({peer, now + kLifetime, seed});
  ++count_;
}

/// Drops the torrent with the fewest peers: who announces made-up torrents announces each once.
void PeerStorage::make_room() {
  const auto least = std::min_element(
      torrents_.begin(), torrents_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  if (least == torrents_.end()) return;
  count_ -= least->second.size();
  torrents_.erase(least);
}

std::vector<Endpoint> PeerStorage::peers(const Sha1Hash& info_hash, std::size_t most, bool seeds,
                                         Rng& rng, TimePoint now) const {
  std::vector<Endpoint> out;
  const auto it = torrents_.find(info_hash);
  if (it == torrents_.end()) return out;
  for (const Peer& peer : it->second)
    if (peer.until > now && (seeds || !peer.seed)) out.push_back(peer.endpoint);
  for (std::size_t i = 0; i < std::min(most, out.size()); ++i)
    std::swap(out[i], out[i + rng() % (out.size() - i)]);
  if (out.size() > most) out.resize(most);
  return out;
}

std::optional<PeerStorage::Filters> PeerStorage::filters(const Sha1Hash& info_hash,
                                                         TimePoint now) const {
  const auto it = torrents_.find(info_hash);
  if (it == torrents_.end()) return std::nullopt;
  Filters out;
  for (const Peer& peer : it->second)
    if (peer.until > now) insert(peer.seed ? out.seeds : out.peers, peer.endpoint.address);
  return out;
}

std::vector<Sha1Hash> PeerStorage::sample(std::size_t most, Rng& rng) const {
  std::vector<Sha1Hash> out;
  std::size_t left = torrents_.size();
  for (const auto& [hash, peers] : torrents_) {
    if (out.size() == most) break;
    if (rng() % left-- < most - out.size()) out.push_back(hash);
  }
  return out;
}

void PeerStorage::expire(TimePoint now) {
  for (auto it = torrents_.begin(); it != torrents_.end();) {
    count_ -= std::erase_if(it->second, [&](const Peer& peer) { return peer.until <= now; });
    it = it->second.empty() ? torrents_.erase(it) : std::next(it);
  }
}

}  // namespace swarmfs::dht
