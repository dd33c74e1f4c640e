// Where peers of one torrent are sought: at its trackers, in the hash table and on the local
// network. The one place to add others.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swarm/engine/address_policy.h"
#include "swarm/engine/peer_book.h"
#include "swarm/net/local_discovery.h"
#include "swarm/net/torrent_dht.h"
#include "swarm/net/torrent_trackers.h"

namespace swarmfs::net {

/// Serves the search for metadata first, if there is one, and then the torrent: trackers are told
/// `started` once. On the executor's thread; no callback comes from inside a call here, but for
/// that of Stats.
class PeerSearch {
 public:
  using Stats = std::function<TorrentTrackers::Stats()>;
  using Found = std::function<void(const std::vector<Endpoint>&, engine::PeerSource)>;

  /// What is open beside the trackers; null: not used. They outlive this.
  struct Open {
    DhtService* dht = nullptr;
    LocalDiscovery* local = nullptr;
  };
  /// `client` outlives this.
  PeerSearch(boost::asio::any_io_executor executor, TrackerClient& client,
             TorrentTrackers::Config config, Open open, std::shared_ptr<spdlog::logger> logger);

  /// Who asks from now on: what to say of it, and who gets what is found.
  void serve(Stats stats, Found found);
  /// Hashes that were not known at first: announced as well from now on.
  void add_hashes(const InfoHashes& hashes);
  /// The torrent is private (BEP 27): nobody but its trackers is asked from now on, and one of them
  /// at a time. `switched` comes when another than before answers.
  void trackers_alone(std::function<void()> switched);

  void start();
  /// The download finished here, now.
  void completed() { trackers_.completed(); }
  /// Stats::port is another one: who knows the old one is told.
  void ports_changed();
  /// Our network came back or is another: all are asked again soon.
  void network_changed();
  /// More addresses are wanted; cheap to repeat.
  void want_peers();
  /// Says goodbye; `done` as of TorrentTrackers::stop().
  void stop(std::function<void()> done);
  void restart();
  /// For people, a line each: what each source said last.
  std::vector<std::string> words() const;

 private:
  void join_local();
  void give(const std::vector<Endpoint>& named, engine::Scope scope, engine::PeerSource source);

  Stats stats_;
  Found found_;
  TorrentTrackers trackers_;
  std::unique_ptr<TorrentDht> dht_;  ///< null: not used
  LocalDiscovery* local_;            ///< likewise
  InfoHashes hashes_;
  std::unique_ptr<LocalDiscovery::Torrent> announced_;  ///< there, while we seek
};

}  // namespace swarmfs::net
