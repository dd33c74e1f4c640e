#include "swarm/engine/tracker_book.h"

#include <algorithm>

namespace swarmfs::engine {

using wire::TrackerEvent;

Result<wire::AnnounceResponse> TrackerBook::announce(const wire::AnnounceRequest& request,
                                                     const IpAddress& from, TimePoint now,
                                                     Rng& rng) {
  expire(now);
  const bool renamed = request.ip && from.is_loopback() && !request.ip->is_unspecified();
  const Endpoint self{renamed ? *request.ip : from, request.port};
  wire::AnnounceResponse response;
  response.interval = config_.interval;
  response.min_interval = config_.min_interval;
  response.external_ip = from;
  if (request.event == TrackerEvent::stopped) {
    if (const auto swarm = swarms_.find(request.info_hash); swarm != swarms_.end()) {
      const auto peer = swarm->second.peers.find(self);
      if (peer != swarm->second.peers.end()) remove(swarm, peer);
    }
  } else if (request.port != 0 && !record(request, self, now)) {
    return fail(ErrorKind::busy, "tracker is full, try later");
  }

  const auto found = swarms_.find(request.info_hash);
  response.seeders = found == swarms_.end() ? 0 : found->second.seeds;
  response.leechers =
      found == swarms_.end()
          ? 0
          : static_cast<std::uint32_t>(found->second.peers.size()) - found->second.seeds;
  if (found == swarms_.end() || request.event == TrackerEvent::stopped) return response;
  const std::uint32_t count =
      std::min(request.numwant.value_or(config_.default_numwant), config_.max_numwant);
  const bool seed = request.left == 0;
  for (const bool v4 : {from.is_v4(), !from.is_v4()})
    pick(found->second, v4, self, seed, count, rng, response.peers);
  return response;
}

bool TrackerBook::has_room(const Swarm* swarm, const IpAddress& address) const {
  if (recent_.size() >= config_.max_peers) return false;
  if (swarm == nullptr) return swarms_.size() < config_.max_swarms;
  std::size_t same = 0;
  for (auto peer = swarm->peers.lower_bound(Endpoint{address, 0});
       peer != swarm->peers.end() && peer->first.address == address; ++peer) {
    if (++same >= config_.max_per_address) return false;
  }
  return true;
}

bool TrackerBook::record(const wire::AnnounceRequest& request, const Endpoint& endpoint,
                         TimePoint now) {
  auto swarm = swarms_.find(request.info_hash);
  const bool known = swarm != swarms_.end() && swarm->second.peers.contains(endpoint);
  if (!known && !has_room(swarm == swarms_.end() ? nullptr : &swarm->second, endpoint.address))
    return false;
  if (swarm == swarms_.end()) swarm = swarms_.emplace(request.info_hash, Swarm{}).first;
  const auto [peer, fresh] = swarm->second.peers.try_emplace(endpoint);
  if (fresh) {
    auto& family = swarm->second.family(endpoint.address.is_v4());
    peer->second.position = family.size();
    family.push_back(peer);
    peer->second.recent = recent_.insert(recent_.end(), Ref{swarm, peer, now});
  } else {
    recent_.splice(recent_.end(), recent_, peer->second.recent);
    if (peer->second.seed) --swarm->second.seeds;
  }
  peer->second.recent->expires = now + 2 * config_.interval;
  peer->second.seed = request.left == 0;
  if (peer->second.seed) ++swarm->second.seeds;
  if (request.event == TrackerEvent::completed) ++swarm->second.downloads;
  return true;
}

void TrackerBook::remove(Swarms::iterator swarm, Peers::iterator peer) {
  auto& family = swarm->second.family(peer->first.address.is_v4());
  const std::size_t hole = peer->second.position;
  family[hole] = family.back();
  family[hole]->second.position = hole;
  family.pop_back();
  if (peer->second.seed) --swarm->second.seeds;
  recent_.erase(peer->second.recent);
  swarm->second.peers.erase(peer);
  // A swarm without peers is forgotten with its count of downloads: memory follows peers.
  if (swarm->second.peers.empty()) swarms_.erase(swarm);
}

void TrackerBook::pick(Swarm& swarm, bool v4, const Endpoint& asking, bool for_seed,
                       std::uint32_t count, Rng& rng, std::vector<Endpoint>& out) {
  // Shuffles just as much of the vector as is looked at. A seed in a swarm of seeds may look at
  // many: that is bounded too.
  auto& family = swarm.family(v4);
  const std::size_t looks = std::min<std::size_t>(family.size(), 4 * std::size_t{count} + 1);
  for (std::size_t i = 0; i < looks && count > 0; ++i) {
    const std::size_t j = std::uniform_int_distribution<std::size_t>(i, family.size() - 1)(rng);
    std::swap(family[i], family[j]);
    family[i]->second.position = i;
    family[j]->second.position = j;
    const auto& [endpoint, peer] = *family[i];
    if (endpoint == asking || (for_seed && peer.seed)) continue;
    // Only programs on this machine reach a peer that announced over loopback.
    if (endpoint.address.is_loopback() && !asking.address.is_loopback()) continue;
    out.push_back(endpoint);
    --count;
  }
}

wire::ScrapeEntry TrackerBook::scrape(const Sha1Hash& hash, TimePoint now) {
  expire(now);
  const auto swarm = swarms_.find(hash);
  if (swarm == swarms_.end()) return {hash, 0, 0, 0};
  const Swarm& s = swarm->second;
  return {hash, s.seeds, s.downloads, static_cast<std::uint32_t>(s.peers.size()) - s.seeds};
}

void TrackerBook::expire(TimePoint now) {
  while (!recent_.empty() && recent_.front().expires <= now) {
    const Ref oldest = recent_.front();
    remove(oldest.swarm, oldest.peer);
  }
}

}  // namespace swarmfs::engine
