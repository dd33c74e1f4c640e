// The peers that other nodes have announced to us (BEP 5, 33, 51).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/dht/node_id.h"
#include "swarm/wire/krpc.h"

namespace swarmfs::dht {

/// Bounded in torrents, in peers of one and in peers of all; an entry that is not announced again
/// is gone after kLifetime. One entry an address and torrent (BEP 33), so that nobody fills a
/// torrent alone; local addresses, behind which many may be, count with their port.
class PeerStorage {
 public:
  static constexpr std::size_t kMaxTorrents = 2000;
  static constexpr std::size_t kMaxPeers = 500;        ///< of a torrent
  static constexpr std::size_t kMaxAllPeers = 50'000;  ///< about 6 MiB
  static constexpr Duration kLifetime = std::chrono::minutes(45);

  /// With no room, the entry nearest its end makes it: of the torrent where that is full, else of
  /// the torrent that has the fewest peers.
  void add(const Sha1Hash& info_hash, const Endpoint& peer, bool seed, TimePoint now);
  /// At most `most`, chosen at random; `seeds` false leaves out those that are complete.
  std::vector<Endpoint> peers(const Sha1Hash& info_hash, std::size_t most, bool seeds, Rng& rng,
                              TimePoint now) const;
  struct Filters {
    wire::ScrapeFilter seeds{}, peers{};
  };
  /// Nothing for a torrent that is not known.
  std::optional<Filters> filters(const Sha1Hash& info_hash, TimePoint now) const;
  /// At most `most` info hashes, chosen at random.
  std::vector<Sha1Hash> sample(std::size_t most, Rng& rng) const;

  std::size_t torrents() const { return torrents_.size(); }
  std::size_t all_peers() const { return count_; }
  /// Drops what has ended. To be called every minute or so.
  void expire(TimePoint now);

 private:
  struct Peer {
    Endpoint endpoint;
    TimePoint until;
    bool seed = false;
  };
  using Peers = std::vector<Peer>;  ///< in the order of their ends
  void make_room();

  std::map<Sha1Hash, Peers> torrents_;
  std::size_t count_ = 0;
};

}  // namespace swarmfs::dht
