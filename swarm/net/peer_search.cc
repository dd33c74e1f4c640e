#include "swarm/net/peer_search.h"

#include <utility>

#include "swarm/engine/address_policy.h"

namespace swarmfs::net {

PeerSearch::PeerSearch(boost::asio::any_io_executor executor, TrackerClient& client,
                       TorrentTrackers::Config config, std::shared_ptr<spdlog::logger> logger)
    : trackers_(
          std::move(executor), client, std::move(config),
          [this] { return stats_ ? stats_() : TorrentTrackers::Stats{}; },
          [this](const TorrentTrackers::Found& found) {
            if (!found_) return;
            std::vector<Endpoint> peers;
            for (const Endpoint& peer : found.peers)
              if (engine::may_connect(found.scope, peer.address)) peers.push_back(peer);
            found_(peers, engine::PeerSource::tracker);
          },
          std::move(logger)) {}

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
