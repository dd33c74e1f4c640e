// When to announce which torrents on the local network (BEP 14), and who counts as being on it.
// No sockets, no clock.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"

namespace swarmfs::engine {

/// A network that an interface of ours is on: the addresses that share `prefix` bits with ours.
struct LocalNetwork {
  IpAddress address;
  unsigned prefix = 0;  ///< bits, at most 32 or 128
};

/// Whether an address is on one of these networks. Never one that belongs to no single host, nor an
/// IPv6 link-local one, which means nothing without its interface.
bool on_network(const IpAddress& address, std::span<const LocalNetwork> networks);

/// Not thread-safe.
class LocalAnnounces {
 public:
  static constexpr Duration kEvery = std::chrono::minutes(5);
  /// No torrent is announced more often than this.
  static constexpr Duration kSoonest = std::chrono::minutes(1);
  /// A torrent waits so long for others to share its datagram.
  static constexpr Duration kGather = std::chrono::milliseconds(200);

  /// To be announced from now on.
  void add(const Sha1Hash& info_hash, TimePoint now);
  void remove(const Sha1Hash& info_hash, TimePoint now);
  /// Peers are lacking: announces before its time.
  void want_peers(const Sha1Hash& info_hash, TimePoint now);

  /// What to announce now, which counts as done.
  std::vector<Sha1Hash> take_due(TimePoint now);
  /// When take_due() has something next; nothing: never.
  std::optional<TimePoint> deadline() const;

 private:
  struct Entry {
    TimePoint next{};
    std::optional<TimePoint> last;
    bool wanted = false;  ///< else it is here only because it was announced a moment ago
  };
  std::map<Sha1Hash, Entry> entries_;
};

}  // namespace swarmfs::engine
