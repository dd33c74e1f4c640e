// What a tracker knows: swarms and their peers, with expiry, in bounded memory. No sockets.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"
#include "swarm/base/result.h"
#include "swarm/wire/tracker.h"

namespace swarmfs::engine {

class TrackerBook {
 public:
  struct Config {
    std::chrono::seconds interval{120};     ///< what peers are told
    std::chrono::seconds min_interval{30};  ///< what peers are told
    std::size_t max_swarms = 10'000;
    std::size_t max_peers = 200'000;   ///< over all swarms
    std::size_t max_per_address = 64;  ///< peers of one swarm behind one address
    std::uint32_t default_numwant = 50;
    std::uint32_t max_numwant = 200;
  };

  explicit TrackerBook(Config config) : config_(config) {}

  /// Records the sender, `from` being its address on the wire, and picks peers for it at random:
  /// up to numwant per address family, never itself, and no seeds for a seed. A sender on this
  /// machine may name another address of its own (`ip`), as it is unreachable from elsewhere by
  /// the one it came from. A full book refuses new peers with an error (busy) that is meant for
  /// the sender; those known are served.
  Result<wire::AnnounceResponse> announce(const wire::AnnounceRequest& request,
                                          const IpAddress& from, TimePoint now, Rng& rng);
  /// Zeros for a swarm that is not known.
  wire::ScrapeEntry scrape(const Sha1Hash& hash, TimePoint now);
  /// Forgets peers that have not announced for two intervals. announce() and scrape() do it too.
  void expire(TimePoint now);

  std::size_t swarms() const { return swarms_.size(); }
  std::size_t peers() const { return recent_.size(); }

 private:
  struct Peer;
  using Peers = std::map<Endpoint, Peer>;
  struct Swarm;
  using Swarms = std::map<Sha1Hash, Swarm>;
  struct Ref {  ///< an entry of recent_
    Swarms::iterator swarm;
    Peers::iterator peer;
    TimePoint expires;
  };
  struct Peer {
    std::size_t position = 0;  ///< in its family's vector
    bool seed = false;
    std::list<Ref>::iterator recent;
  };
  struct Swarm {
    Peers peers;
    std::vector<Peers::iterator> v4;  ///< the same peers, for O(1) choice at random
    std::vector<Peers::iterator> v6;
    std::uint32_t seeds = 0;
    std::uint32_t downloads = 0;
    std::vector<Peers::iterator>& family(bool is_v4) { return is_v4 ? v4 : v6; }
  };

  bool has_room(const Swarm* swarm, const IpAddress& address) const;
  /// False if a limit forbids it.
  bool record(const wire::AnnounceRequest& request, const Endpoint& peer, TimePoint now);
  void remove(Swarms::iterator swarm, Peers::iterator peer);
  void pick(Swarm& swarm, bool v4, const Endpoint& asking, bool for_seed, std::uint32_t count,
            Rng& rng, std::vector<Endpoint>& out);

  Config config_;
  Swarms swarms_;
  std::list<Ref> recent_;  ///< all peers, the one that announced longest ago first
};

}  // namespace swarmfs::engine
