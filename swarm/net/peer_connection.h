// One connection to a peer: bytes in, queued bytes and blocks out, nothing decided here.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "swarm/base/block.h"
#include "swarm/base/bytes.h"
#include "swarm/net/peer_stream.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::net {

/// Lives on the session's thread. Owned by shared_ptr because pending operations must be
/// able to outlast the driver's interest in it.
class PeerConnection : public std::enable_shared_from_this<PeerConnection> {
 public:
  struct Events {
    std::function<void(ByteView)> on_bytes;
    /// The other side or the network ended it. Not called after close().
    std::function<void()> on_closed;
    /// A block given to send_block left (true) or could not be read (false).
    std::function<void(const wire::BlockRef&, bool)> on_block_sent;
    /// True while the receiver cannot take more; resume() starts reading again.
    std::function<bool()> congested;
  };

  PeerConnection(boost::asio::any_io_executor executor, std::unique_ptr<PeerStream> stream,
                 Events events);

  /// Bytes of protocol messages that a peer may leave unread before we read no more of what it
  /// sends: most messages are answers, so this bounds what one that never reads can make us keep.
  static constexpr std::size_t kMaxUnsent = 256 * 1024;

  /// Tells somebody else from now on. Not from inside an event.
  void set_events(Events events) { events_ = std::move(events); }

  /// Starts reading. Call once.
  void start();
  void resume();
  /// Queues bytes of whole messages; flush() writes them. They keep their order, and overtake
  /// blocks that have not begun to leave unless they are to come `behind_blocks`.
  void send(Bytes bytes, bool behind_blocks = false);
  /// Writes what is queued and ready. May call on_block_sent.
  void flush();

  /// A block on its way out: created in order, filled when its bytes are there.
  class Slot;
  std::shared_ptr<Slot> reserve_block(const wire::BlockRef& block);
  /// Bytes for a reserved slot; `owner` keeps them alive. An empty view: they could not be read.
  void fill_block(const std::shared_ptr<Slot>& slot, std::shared_ptr<const void> owner,
                  ByteView payload);

  std::optional<PathRtt> path_rtt() { return stream_->path_rtt(); }
  PeerLink link() const { return stream_->link(); }

  void distrust() { stream_->distrust(); }

  /// Closes once what is queued has gone (flush() tries at once), or after a second.
  void close_after_flush();
  void close();

 private:
  void wait_readable();
  void read_some();
  void write_some();
  void wait_writable();
  void fail_connection();
  void drop_blocks();
  auto before_blocks();

  boost::asio::any_io_executor executor_;
  std::unique_ptr<PeerStream> stream_;
  Events events_;
  std::deque<std::shared_ptr<Slot>> queue_;
  std::size_t unsent_ = 0;  ///< bytes of queued protocol messages
  bool waiting_to_write_ = false;
  bool greeted_ = false;  ///< something was sent
  bool in_write_ = false;
  bool paused_ = false;
  bool closed_ = false;
  bool closing_ = false;
};

}  // namespace swarmfs::net
