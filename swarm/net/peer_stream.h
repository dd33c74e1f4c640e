// The bytes of one connection to a peer, whatever carries them.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <functional>
#include <optional>
#include <span>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/path_rtt.h"
#include "swarm/base/peer_link.h"

namespace swarmfs::net {

/// Two ordered streams of bytes, in the manner of a socket that does not block. Lives on the
/// session's thread.
class PeerStream {
 public:
  virtual ~PeerStream() = default;

  /// Calls back once, later, when read() has something to give: bytes, the end, or an error. One
  /// wait at a time. Not called after close().
  virtual void wait_readable(std::function<void()> ready) = 0;
  /// The same for write().
  virtual void wait_writable(std::function<void()> ready) = 0;
  /// As recv(2): bytes, 0 at the end of what the peer sends, or -1 and errno.
  virtual ssize_t read(MutableByteView into) = 0;
  /// As sendmsg(2): how many bytes of the parts, in order, were taken; or -1 and errno. Where the
  /// transport has packets, each of the first parts begins one: Transmission 3.00 looks at what
  /// comes in one packet with a handshake only when another packet comes.
  virtual ssize_t write(std::span<const iovec> parts) = 0;

  /// If it is known.
  virtual std::optional<PathRtt> path_rtt() = 0;
  virtual PeerLink link() const { return {}; }
  /// What came over it was wrong. Whoever opened it had better not do so again.
  virtual void distrust() {}
  /// Ends both ways at once. Idempotent. A wait that is under way is never called back.
  virtual void close() = 0;
};

}  // namespace swarmfs::net
