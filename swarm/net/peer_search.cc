#include "swarm/net/peer_search.h"

#include <utility>

namespace swarmfs::net {

/// By which others than trackers know a torrent.
static std::vector<Sha1Hash> short_hashes(const InfoHashes& hashes) {
  std::vector<Sha1Hash> keys;
  if (hashes.v1) keys.push_back(*hashes.v1);
  if (const auto v2 = hashes.v2_truncated()) keys.push_back(*v2);
  return keys;
}

PeerSearch::PeerSearch(boost::asio::any_io_executor executor, TrackerClient& client,
                       TorrentTrackers::Config config, Open open,
                       std::shared_ptr<spdlog::logger> logger)
    : trackers_(
          executor, client, config, [this] { return stats_ ? stats_() : TorrentTrackers::Stats{}; },
          [this](const TorrentTrackers::Found& found) {
            give(found.peers, found.scope, engine::PeerSource::tracker);
          },
          logger),
      local_(open.local),
      hashes_(config.hashes) {
  if (open.dht == nullptr) return;
  dht_ = std::make_unique<TorrentDht>(
      *open.dht, std::move(executor), short_hashes(config.hashes),
      [this] {
        const auto stats = stats_ ? stats_() : TorrentTrackers::Stats{};
        return TorrentDht::Us{stats.port, stats.left == 0};
      },
      [this](const dht::FoundPeers& found) {
        // A node on the local network may name local peers, and nobody else may.
        give(found.peers, engine::scope_after(engine::Scope::local, found.from.address),
             engine::PeerSource::dht);
      },
      std::move(logger));
}

void PeerSearch::add_hashes(const InfoHashes& hashes) {
  trackers_.add_hashes(hashes);
  if (dht_) dht_->set_hashes(short_hashes(hashes));
  hashes_ = hashes;
  if (announced_) join_local();
}

void PeerSearch::trackers_alone(std::function<void()> switched) {
  dht_.reset();
  announced_.reset();
  local_ = nullptr;
  trackers_.one_at_a_time(std::move(switched));
}

void PeerSearch::join_local() {
  if (local_ == nullptr) return;
  announced_.reset();
  announced_ = local_->join(short_hashes(hashes_), [this](const Endpoint& peer) {
    give({peer}, engine::Scope::local, engine::PeerSource::lsd);
  });
}

void PeerSearch::start() {
  trackers_.start();
  if (dht_) dht_->start();
  join_local();
}

void PeerSearch::want_peers() {
  trackers_.want_peers();
  if (dht_) dht_->want_peers();
  if (announced_) announced_->want_peers();
}

void PeerSearch::ports_changed() {
  trackers_.port_changed();
  if (dht_) dht_->port_changed();
}

void PeerSearch::network_changed() {
  trackers_.network_changed();
  if (dht_) dht_->network_changed();
  if (announced_) announced_->want_peers();
}

void PeerSearch::stop(std::function<void()> done) {
  if (dht_) dht_->stop();
  announced_.reset();
  trackers_.stop(std::move(done));
}

void PeerSearch::restart() {
  if (dht_) dht_->start();
  join_local();
  trackers_.restart();
}

/// Hands on those that who named them may lead to.
void PeerSearch::give(const std::vector<Endpoint>& named, engine::Scope scope,
                      engine::PeerSource source) {
  if (!found_) return;
  std::vector<Endpoint> peers;
  for (const Endpoint& peer : named)
    if (engine::may_connect(scope, peer.address)) peers.push_back(peer);
  found_(peers, source);
}

void PeerSearch::serve(Stats stats, Found found) {
  stats_ = std::move(stats);
  found_ = std::move(found);
}

std::vector<std::string> PeerSearch::words() const {
  std::vector<std::string> lines;
  for (const TorrentTrackers::Status& s : trackers_.status())
    lines.push_back(s.tracker + ": " +
                    (!s.message.empty() ? s.message
                     : s.working        ? "answers"
                                        : "has not answered yet"));
  return lines;
}

}  // namespace swarmfs::net
