// The addresses a torrent knows, and which of them to dial when.
//
// Rules it keeps: no address is dialled while it is dialled or connected already; an address that
// failed rests for longer each time and is given up after a few tries, unless the user named it, or
// it was there until nobody at all was heard from any more: then it may be our own line that is
// down, and it is tried again soon; what strangers say (PEX, DHT) can neither
// crowd out better addresses nor aim us at local networks, system ports or many ports of one host;
// memory is bounded.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/engine/address_filter.h"

namespace swarmfs::engine {

/// Who told us of an address.
enum class PeerSource : std::uint8_t { user, tracker, incoming, pex, dht, lsd, magnet };

/// In one word, for people.
std::string_view name_of(PeerSource source);
/// Whether an address is known better from `a` than from `b`.
bool more_trusted(PeerSource a, PeerSource b);

enum class CloseReason : std::uint8_t {
  lost,        ///< the peer or the network ended it
  useless,     ///< neither side wants anything, or a better peer needed the room
  misbehaved,  ///< it broke the protocol or was for another torrent
  duplicate,   ///< we are connected to this peer by another connection
  self,        ///< it was ourselves
  paused,      ///< the user wants no connections for now
  crowded,     ///< there were too many of them; it may be dialled again soon
};

struct PeerBookConfig {
  std::size_t max_peers = 3000;  ///< addresses known at a time
  unsigned max_connections = 200;
  unsigned max_half_open = 50;
  unsigned dials_per_second = 30;  ///< over 0
  unsigned dial_burst = 30;        ///< dials at once after a pause; over 0
  unsigned max_failures = 5;       ///< in a row, then an address is given up
  /// The rest after a failure doubles from `retry_min` to `retry_max`; for the user's peers from
  /// `reconnect` to `user_retry_max`. For those that were there until nobody was heard from any
  /// more it is an eighth of that silence, within the same bounds.
  Duration retry_min = std::chrono::seconds(10);
  Duration retry_max = std::chrono::minutes(10);
  Duration user_retry_max = std::chrono::seconds(30);
  /// A connection this old was a success; the first retry after it follows in `reconnect`.
  Duration stable_after = std::chrono::seconds(30);
  Duration reconnect = std::chrono::seconds(1);
  Duration rest = std::chrono::minutes(10);     ///< after useless and duplicate
  Duration give_up = std::chrono::minutes(30);  ///< until a given-up address may be added anew
  std::size_t max_ports_per_host = 4;  ///< of a public address, taken from PEX, DHT and incoming
  /// Let trackers, PEX and DHT name local addresses: when the torrent's own trackers are local.
  bool allow_local = false;
  AddressFilterPtr filter{};  ///< whom the user wants nothing to do with; may be null
  /// BEP 27: the user and the trackers alone name peers, beside those who come themselves.
  bool trackers_alone = false;
};

/// Not thread-safe. Endpoints that the book does not know are ignored by the on_ functions.
class PeerBook {
 public:
  /// `seed` shuffles the order in which addresses are dialled while our own address is unknown.
  PeerBook(PeerBookConfig config, std::uint64_t seed);

  /// Takes an address; false if it was refused (banned or in the filter, ourselves, not to be
  /// dialled, or the book is full of better ones). An address known already keeps its most trusted
  /// source. Ports below 1024 from PEX, DHT, LSD and incoming peers are refused, and local
  /// addresses from trackers, PEX and DHT unless allow_local. Named by the user, an address starts
  /// afresh.
  bool add(const Endpoint& endpoint, PeerSource source, TimePoint now);

  /// The address to dial now, counted as half open until on_connected() or on_failed(). Nothing
  /// when limits or rests forbid it; then deadline() says when to ask again. Order: the user's
  /// first, fewer failures, seeds (none while we are complete), BEP 40 priority.
  std::optional<Endpoint> next_dial(TimePoint now, unsigned connected, unsigned half_open);

  /// When next_dial() may give something with these counts: in the past means now, nothing means
  /// not before something changes. O(1) unless the book changed.
  std::optional<TimePoint> deadline(unsigned connected, unsigned half_open) const;

  /// Somebody is there right now (BEP 55): counted as if next_dial() had given it, whatever rests
  /// and limits say. False if it is not known, banned, dialled or connected already.
  bool begin_dial(const Endpoint& endpoint);
  /// A dial succeeded, up to and including the BitTorrent handshake.
  void on_connected(const Endpoint& endpoint, TimePoint now);
  /// A peer that dialled us listens at `endpoint` (BEP 10 `p`): it need not be dialled. To be
  /// matched by on_closed(). Adds the address; false if it was refused, then nothing is to match.
  bool on_incoming(const Endpoint& endpoint, TimePoint now);
  /// A dial failed.
  void on_failed(const Endpoint& endpoint, TimePoint now);
  /// A connection ended; also instead of on_failed() when a dial got far enough for a reason.
  void on_closed(const Endpoint& endpoint, TimePoint now, CloseReason reason);

  void set_seed(const Endpoint& endpoint, bool seed);
  /// While we have everything we want, seeds are not dialled. When that ends, those that were left
  /// as useless need not rest any longer.
  void set_complete(bool complete, TimePoint now);
  void set_allow_local(bool allow) { config_.allow_local = allow; }
  void set_max_connections(unsigned most) { config_.max_connections = most; }
  /// Our own address as others see it, one for each family; BEP 40 priorities follow from it.
  void set_external(const Endpoint& external);

  /// A liar is out for the run, whoever named it. The caller closes its connections.
  void ban(const IpAddress& address, TimePoint now);
  /// Whether the user gave this address.
  bool named_by_user(const Endpoint& endpoint) const;
  /// Banned, or in the filter.
  bool refuses(const IpAddress& address) const {
    return banned_.contains(address) || blocked_by(config_.filter, address);
  }
  /// Another filter; addresses that it has are forgotten. The caller closes their connections.
  void set_filter(AddressFilterPtr filter);
  /// Who named this address, the most trusted of them; nothing if it is not known.
  std::optional<PeerSource> source_of(const Endpoint& endpoint) const;

  /// Knows nobody any more but those that the user named.
  void forget_swarm();
  /// The network came back or changed: failures so far say nothing.
  void forgive(TimePoint now);
  /// A peer of the torrent said something, so that our own line works. Cheap.
  void heard(TimePoint now) { heard_ = now; }

  struct Sizes {
    std::size_t known = 0;
    std::size_t given_up = 0;  ///< of these
    std::size_t dialing = 0;
    std::size_t connected = 0;  ///< addresses, not connections
    std::size_t seeds = 0;
    std::size_t banned = 0;
  };
  Sizes sizes() const;

 private:
  struct Entry {
    TimePoint not_before;    ///< of the next dial
    TimePoint connected_at;  ///< of the newest connection
    TimePoint heard_before;  ///< `heard_` when it was dialled last
    std::uint32_t priority = 0;
    std::uint16_t failures = 0;
    std::uint16_t connections = 0;
    PeerSource source = PeerSource::pex;
    bool dialing = false;
    bool seed = false;
    bool proven = false;  ///< was connected to once
    bool alone = false;   ///< it failed last, and nobody was heard from meanwhile

    bool idle() const { return !dialing && connections == 0; }
  };
  using Entries = std::map<Endpoint, Entry>;

  Entry* find(const Endpoint& endpoint);
  bool acceptable(const Endpoint& endpoint, PeerSource source) const;
  bool crowded(const Endpoint& endpoint, PeerSource source) const;
  bool make_room(PeerSource source);
  bool given_up(const Entry& entry) const;
  bool dialable(const Entry& entry) const;
  auto dial_order(const Entry& entry) const;
  auto worth(const Entry& entry) const;
  Duration backoff(const Entry& entry, TimePoint now) const;
  void fail(Entry& entry, TimePoint now);
  void reached(Entry& entry, TimePoint now);
  bool room(unsigned connected, unsigned half_open) const;
  TimePoint bucket_opens() const;
  const std::optional<TimePoint>& earliest() const;
  std::uint32_t priority_of(const Endpoint& endpoint) const;

  PeerBookConfig config_;
  std::uint64_t seed_;
  bool complete_ = false;
  std::optional<Endpoint> external_v4_;
  std::optional<Endpoint> external_v6_;
  Entries entries_;
  std::map<IpAddress, TimePoint> banned_;  ///< and since when
  std::set<Endpoint> self_;
  TimePoint heard_{};  ///< when anybody was heard from last, or named
  Duration dial_interval_;
  TimePoint dials_paid_until_{};  ///< the token bucket: every dial moves it on by an interval
  mutable std::optional<TimePoint> earliest_;  ///< not_before of the first dialable entry
  mutable bool earliest_stale_ = false;
};

}  // namespace swarmfs::engine
