#include "swarm/net/torrent_dht.h"

#include <algorithm>
#include <utility>

namespace swarmfs::net {

TorrentDht::TorrentDht(DhtService& service, boost::asio::any_io_executor executor,
                       std::vector<Sha1Hash> hashes, std::function<Us()> us,
                       dht::Node::OnPeers on_peers, std::shared_ptr<spdlog::logger> logger)
    : service_(service),
      hashes_(std::move(hashes)),
      us_(std::move(us)),
      on_peers_(std::move(on_peers)),
      logger_(std::move(logger)),
      timer_(std::move(executor)) {}

void TorrentDht::start() {
  if (std::exchange(running_, true)) return;
  rest_ = kSoonest;
  search();
}

void TorrentDht::stop() {
  running_ = false;
  searching_ = false;
  timer_.cancel();
  search_.reset();
}

void TorrentDht::want_peers() {
  if (!running_ || searching_) return;
  // Not at once: it has just been asked, or will be in a moment.
  if (timer_.expiry() - std::chrono::steady_clock::now() > kSoonest) search_in(kSoonest);
}

void TorrentDht::port_changed() {
  moved_ = searching_;
  if (running_ && !searching_) search_in(kSoonest);
}

void TorrentDht::network_changed() {
  rest_ = kSoonest;
  port_changed();
}

void TorrentDht::search() {
  moved_ = false;
  const Us us = us_();
  dht::FindOptions options;
  options.announce = us.port != 0;
  options.port = us.port;
  options.seed = us.seed;
  searching_ = true;
  search_ = service_.find_peers(hashes_, options, on_peers_,
                                [this](const dht::SearchEnd& end) { ended(end); });
}

void TorrentDht::ended(const dht::SearchEnd& end) {
  searching_ = false;
  logger_->debug("DHT: {} peers, {} of {} nodes answered, {} told of us", end.peers, end.answered,
                 end.asked, end.announced);
  // With few nodes, or none that knows a peer, the next search may see more.
  const bool enough = end.answered >= dht::Lookup::kWidth && end.peers > 0;
  search_in(moved_ ? kSoonest : enough ? kEvery : rest_);
  rest_ = enough ? kSoonest : std::min(rest_ * 2, kEvery);
}

void TorrentDht::search_in(Duration rest) {
  timer_.expires_after(rest);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired() && running_) search();
  });
}

}  // namespace swarmfs::net
