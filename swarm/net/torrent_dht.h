// One torrent's part in the hash table: looks for its peers and announces us, again and again.
#pragma once

#include <spdlog/logger.h>

#include <functional>
#include <memory>
#include <vector>

#include "swarm/net/dht_service.h"

namespace swarmfs::net {

/// Not for private torrents (BEP 27). On the service's thread.
class TorrentDht {
 public:
  /// Announces are forgotten by others after some 30 to 45 minutes (BEP 5).
  static constexpr Duration kEvery = std::chrono::minutes(15);
  /// Between two searches when peers are wanted, or too few nodes answered; doubles up to kEvery.
  static constexpr Duration kSoonest = std::chrono::seconds(5);

  struct Us {
    std::uint16_t port = 0;  ///< where peers reach us; 0: nowhere, and nothing is announced
    bool seed = false;
  };
  /// `service` outlives this. `us` is asked before each search.
  TorrentDht(DhtService& service, boost::asio::any_io_executor executor,
             std::vector<Sha1Hash> hashes, std::function<Us()> us, dht::Node::OnPeers on_peers,
             std::shared_ptr<spdlog::logger> logger);

  /// What is searched for from the next search on.
  void set_hashes(std::vector<Sha1Hash> hashes) { hashes_ = std::move(hashes); }
  void start();
  /// Until start() is called again, nothing is looked for or announced.
  void stop();
  /// Peers are lacking: searches again before its time.
  void want_peers();
  /// Us::port is another one: announces it soon.
  void port_changed();
  /// Our network came back or is another: searches and announces soon, however rarely it had come
  /// to that.
  void network_changed();

 private:
  void search();
  void ended(const dht::SearchEnd& end);
  void search_in(Duration rest);

  DhtService& service_;
  std::vector<Sha1Hash> hashes_;
  std::function<Us()> us_;
  dht::Node::OnPeers on_peers_;
  std::shared_ptr<spdlog::logger> logger_;
  boost::asio::steady_timer timer_;
  std::unique_ptr<DhtService::Search> search_;
  bool running_ = false;
  bool searching_ = false;
  bool moved_ = false;        ///< what is being announced is a port that is no longer ours
  Duration rest_ = kSoonest;  ///< before the next one, if this one brings too little
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
