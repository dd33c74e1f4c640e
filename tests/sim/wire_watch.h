// Reads every message to and from one node, and keeps books of its own of what the node asked whom.
//
// What a node must never ask becomes a violation of the World: what it asked of the same peer
// already, what it has, what a peer that chokes it would not send, a copy too many. The engine's
// own books are not looked at, so that a mistake in those shows.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "swarm/engine/message_framer.h"
#include "swarm/wire/peer_message.h"
#include "tests/sim/engine_node.h"

namespace swarmfs::sim {

class WireWatch final : public Tap {
 public:
  /// To be made before the node's first connection.
  WireWatch(World& world, EngineNode& node);

  struct Totals {
    std::uint64_t payload = 0;  ///< bytes of blocks that came
    std::uint64_t useless = 0;  ///< of those, what was here already or belongs to no piece begun
    std::uint64_t crossed = 0;  ///< the same, of requests that were taken back in vain
  };
  const Totals& totals() const { return totals_; }
  /// Pieces of which some peer is to bring a block: asked for and not cancelled.
  std::set<PieceIndex> in_flight() const;
  /// When a block of the piece last came that was of use.
  TimePoint last_arrival(PieceIndex piece) const;

 private:
  /// Urgent blocks may be asked for in halves.
  using Part = std::pair<PieceIndex, std::uint32_t>;
  static std::vector<Part> parts_of(const wire::BlockRef& block);
  bool is_here(const wire::BlockRef& block) const;

  struct Stream {
    engine::MessageFramer in{true}, out{true};
    bool choked = true;
    std::set<PieceIndex> allowed_fast;
    std::set<wire::BlockRef> asked;  ///< and neither answered nor taken back
    /// Cancelled when nobody had brought them. The peer may have sent them already.
    std::map<wire::BlockRef, unsigned> taken_back;
  };

  void on_sent(SocketId socket, ByteView bytes) override;
  void on_delivered(SocketId socket, ByteView bytes) override;
  void on_gone(SocketId socket) override;
  void on_request(SocketId socket, Stream& stream, const wire::BlockRef& block);
  void on_cancel(SocketId socket, Stream& stream, const wire::BlockRef& block);
  void on_block(Stream& stream, const wire::BlockRef& block);
  static bool was_taken_back(Stream& stream, const wire::BlockRef& block);
  void settle(Stream& stream, const wire::BlockRef& block);
  void count(const wire::BlockRef& block, int by);
  void settle_all(Stream& stream);
  void say(SocketId socket, const wire::BlockRef& block, const std::string& what);

  World& world_;
  const unsigned number_;
  std::map<SocketId, Stream> streams_;
  std::map<Part, std::size_t> copies_;  ///< in flight
  std::set<Part> here_;
  std::set<PieceIndex> begun_;  ///< a block of it was asked for, and what came was kept since
  std::map<PieceIndex, TimePoint> arrivals_;
  Totals totals_;
};

}  // namespace swarmfs::sim
