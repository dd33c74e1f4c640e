// Peer exchange (BEP 11) of one torrent: whom to tell of which peers, and what of what they tell
// is to be believed. No sockets, no clock.
//
// Rules it keeps:
// - Only peers that we are connected to are told of, at an address where others can dial them; and
//   nobody hears of an address nearer than its own (of a host of our local network on the public
//   one, of ourselves on that), nor may lead to one.
// - A peer is told what has changed since it was last told, at most once a minute.
// - One network can have us learn so many addresses at once and so many a minute, whatever it says
//   and however often it comes back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/strong_index.h"
#include "swarm/wire/peer_exchange.h"

namespace swarmfs::engine {

/// Not thread-safe.
class PeerExchange {
 public:
  static constexpr Duration kEvery = std::chrono::minutes(1);
  /// The first message waits so long, for more peers to come.
  static constexpr Duration kFirstAfter = std::chrono::seconds(2);
  /// Peers of each list in a message; BEP 11 lets the first have more.
  static constexpr std::size_t kMost = 50;
  static constexpr std::size_t kMostAtFirst = 100;
  /// Addresses that one network can have us learn at once, and a minute.
  static constexpr unsigned kBelievedAtOnce = 100;
  static constexpr unsigned kBelievedPerMinute = 50;
  /// Messages that a peer may send within kEvery. BEP 11 has one; libtorrent bears eight.
  static constexpr unsigned kFlood = 8;
  /// Peers that are remembered of what one peer has told.
  static constexpr std::size_t kRemembered = 200;

  // --- who is there
  /// A peer that others can dial at `listening`, with what may be said of it. Again, when that has
  /// changed.
  void joined(PeerId peer, const Endpoint& listening, std::uint8_t flags);
  /// A peer at `from` takes ut_pex messages (`wants`), or no longer.
  void subscribe(PeerId peer, const IpAddress& from, bool wants, TimePoint now);
  void left(PeerId peer);

  // --- what to tell
  struct Due {
    PeerId to;
    wire::PexMessage message;
  };
  /// A message to send now; call until it gives nothing.
  std::optional<Due> next(TimePoint now);
  /// When next() may have something if nothing changes before; nothing: never.
  std::optional<TimePoint> deadline() const;

  // --- what we are told
  struct Heard {
    std::vector<Endpoint> learnt;  ///< worth dialling
    bool flood = false;            ///< it sends far more often than it may
  };
  Heard on_message(PeerId peer, const IpAddress& from, const wire::PexMessage& message,
                   TimePoint now);
  /// The flags with which `relay`, connected, told of that peer, and has not taken it back: it
  /// could introduce us (BEP 55). Nothing if it has not.
  std::optional<std::uint8_t> can_introduce(PeerId relay, const Endpoint& endpoint) const;

 private:
  struct Named {
    Endpoint endpoint;
    std::uint8_t flags = 0;
  };
  struct Listener {
    IpAddress address;
    std::map<Endpoint, std::uint8_t> told;
    std::uint64_t version = 0;  ///< of the members, when it had been told all
    TimePoint next{};
    bool first = true;
  };
  struct Teller {
    std::map<Endpoint, std::uint8_t> named;
    unsigned messages = 0;  ///< since `since`
    TimePoint since{};
  };

  bool tell(Listener& listener, const Named* self, wire::PexMessage& message) const;
  bool believed(const IpAddress& from, TimePoint now);

  std::map<PeerId, Named> members_;
  std::uint64_t version_ = 1;  ///< of members_
  std::map<PeerId, Listener> listeners_;
  std::map<PeerId, Teller> tellers_;
  /// Token buckets: every address learnt from a network moves its point on by an interval.
  std::map<IpAddress, TimePoint> paid_until_;
};

}  // namespace swarmfs::engine
