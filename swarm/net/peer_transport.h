// One kind of connection to a peer: how it is opened.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/net/peer_stream.h"

namespace swarmfs::net {

/// On the session's thread.
class PeerTransport {
 public:
  struct Connected {
    std::unique_ptr<PeerStream> stream;
    std::optional<Duration> rtt;  ///< that the connection's own handshake took
  };
  using Done = std::function<void(Result<Connected>)>;
  /// A connection that is being opened. Letting go of it ends that, without an answer.
  class Attempt {
   public:
    virtual ~Attempt() = default;
  };

  virtual ~PeerTransport() = default;
  /// Opens a connection; `done` comes later, once, within seconds, unless the attempt is let go.
  /// It may be let go from inside `done`.
  virtual std::unique_ptr<Attempt> connect(const Endpoint& endpoint, Done done) = 0;
};

}  // namespace swarmfs::net
