// How connections to peers are opened: which transports, plain or encrypted.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"
#include "swarm/base/result.h"
#include "swarm/net/encryption.h"
#include "swarm/net/peer_stream.h"
#include "swarm/net/peer_transport.h"
#include "swarm/net/route.h"

namespace swarmfs::net {

/// Shared by all torrents of a session. On its thread. DialMemory says which ways are tried,
/// DialRace when, and Opening does it.
class PeerDialer {
 public:
  using Dialled = PeerTransport::Connected;
  using Done = PeerTransport::Done;
  using Dial = PeerTransport::Attempt;

  /// A transport, and how long it waits for those before it.
  struct Lane {
    std::unique_ptr<PeerTransport> transport;
    Duration after{};
  };

  /// Over TCP, until set_lanes().
  PeerDialer(boost::asio::any_io_executor executor, RoutePtr route, Encryption encryption);
  ~PeerDialer();
  void set_lanes(std::vector<Lane> lanes);
  const RoutePtr& route() const { return route_; }

  /// Opens a connection for a torrent; `done` comes later, once, unless the dial is let go. Where
  /// more than one way may lead to the peer, the stream is still looking for one when it is handed
  /// over: what is written first, up to Opening::kMaxGreeting, goes to each way that is tried, so
  /// it should be what a BitTorrent connection begins with.
  std::unique_ptr<Dial> dial(const Endpoint& endpoint, const Sha1Hash& info_hash, Done done);

  struct Shared;

 private:
  boost::asio::any_io_executor executor_;
  RoutePtr route_;
  Encryption encryption_;
  std::shared_ptr<Shared> shared_;  ///< with dials, which may end after this
};

}  // namespace swarmfs::net
