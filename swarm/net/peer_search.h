// Where peers of one torrent are sought: at its trackers and in the hash table. The one place to
// add others.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swarm/engine/address_policy.h"
#include "swarm/engine/peer_book.h"
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

  /// `client` outlives this, and `dht`, which is null where the hash table is not used.
  PeerSearch(boost::asio::any_io_executor executor, TrackerClient& client,
             TorrentTrackers::Config config, DhtService* dht,
             std::shared_ptr<spdlog::logger> logger);

  /// Who asks from now on: what to say of it, and who gets what is found.
  void serve(Stats stats, Found found);
  /// Hashes that were not known at first: announced as well from now on.
  void add_hashes(const InfoHashes& hashes);
  /// The torrent turned out to be private (BEP 27).
  void leave_dht() { dht_.reset(); }

  void start();
  /// The download finished here, now.
  void completed() { trackers_.completed(); }
  /// Stats::port is another one: who knows the old one is told.
  void ports_changed();
  /// More addresses are wanted; cheap to repeat.
  void want_peers();
  /// Says goodbye; `done` as of TorrentTrackers::stop().
  void stop(std::function<void()> done);
  void restart();
  /// For people, a line each: what each source said last.
  std::vector<std::string> words() const;

 private:
  void give(const std::vector<Endpoint>& named, engine::Scope scope, engine::PeerSource source);

  Stats stats_;
  Found found_;
  TorrentTrackers trackers_;
  std::unique_ptr<TorrentDht> dht_;  ///< null: not used
};

}  // namespace swarmfs::net
