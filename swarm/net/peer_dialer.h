// How connections to peers are opened.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/net/peer_stream.h"

namespace swarmfs::net {

/// Shared by all torrents of a session. On its thread.
class PeerDialer {
 public:
  static constexpr Duration kTimeout = std::chrono::seconds(10);

  struct Dialled {
    std::unique_ptr<PeerStream> stream;
    std::optional<Duration> rtt;  ///< that the connection's own handshake took
  };
  using Done = std::function<void(Result<Dialled>)>;
  /// A connection that is being opened. Letting go of it ends that, without an answer.
  class Dial {
   public:
    virtual ~Dial() = default;
  };

  explicit PeerDialer(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// Opens a connection; `done` comes later, once, within kTimeout, unless the dial is let go.
  std::unique_ptr<Dial> dial(const Endpoint& endpoint, Done done);

 private:
  boost::asio::any_io_executor executor_;
};

}  // namespace swarmfs::net
