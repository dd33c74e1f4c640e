// What the engine asks of the world: the port between its decisions and sockets, hashing and disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "swarm/base/block.h"
#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/path_rtt.h"
#include "swarm/base/peer_link.h"
#include "swarm/base/result.h"
#include "swarm/base/strong_index.h"
#include "swarm/engine/wait_trace.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::engine {

/// All calls come on the engine's thread, from inside a Torrent method, and must not call back
/// into the Torrent before they return. Answers come later through the on_* methods of Torrent.
class TorrentHost {
 public:
  virtual ~TorrentHost() = default;

  /// Whether protocol bytes overtake the blocks of their peer that have not begun to leave.
  enum class SendOrder : std::uint8_t {
    before_blocks,  ///< a request must not wait for what we upload
    behind_blocks,  ///< what speaks of them: a choke, a reject
  };
  /// Queues protocol bytes for a peer, in order among themselves.
  virtual void send(PeerId peer, Bytes bytes, SendOrder order) = 0;
  /// Queues a piece message; the host fetches the payload. Answer: on_block_sent.
  virtual void send_block(PeerId peer, const wire::BlockRef& block) = 0;
  /// Closes the connection once queued bytes are out; no on_closed follows.
  virtual void disconnect(PeerId peer, std::string_view reason) = 0;
  /// A web seed sent wrong bytes: its URL is not to be used any more. A disconnect follows.
  virtual void distrust(PeerId) {}
  /// Of a peer's path, if it can be told apart from queues.
  virtual std::optional<PathRtt> path_rtt(PeerId peer) = 0;
  /// What carries a peer's connection, to show.
  virtual PeerLink link(PeerId) const { return {}; }
  /// Opens a connection. Answer: add_peer or on_dial_failed.
  virtual void dial(const Endpoint& endpoint) = 0;

  /// Checks a whole piece against the manifest. Answer: on_piece_hashed.
  virtual void hash_piece(PieceIndex piece, std::vector<BlockPtr> blocks) = 0;
  /// A block of an unfinished piece is verified: keep it readable until its piece is kept or
  /// forgotten (BEP 52).
  virtual void keep_block(PieceIndex piece, std::uint32_t block, BlockPtr data) = 0;
  /// A piece is verified: make it readable at once and store it. Answer: on_piece_stored.
  virtual void keep_piece(PieceIndex piece, std::vector<BlockPtr> blocks) = 0;
  /// A piece that could not be stored is no longer offered: its memory may go.
  virtual void forget_piece(PieceIndex piece) = 0;
  /// Computes the leaf hashes of a piece that is here. Answer: on_leaves.
  virtual void load_leaves(PieceIndex piece) = 0;

  /// The piece layer of a file that the manifest lacks is complete: a later run may want to know
  /// it (metainfo::PieceRoots::save).
  virtual void layer_learnt() = 0;

  /// A peer has a node of the hash table there (BEP 5), at most one a connection.
  virtual void dht_node(const Endpoint&) {}

  /// A parked read has ended, whichever way, and waited for this: before read_ready or read_failed,
  /// and alone if it was cancelled.
  virtual void read_ended(ReadId, const WaitTrace&) {}
  /// The first `bytes` bytes of a parked read can be read now from what is kept; called again with
  /// more of them as they come, and never with all: that is read_ready.
  virtual void read_grew(ReadId, std::uint32_t /*bytes*/) {}
  /// A parked read can be answered now from what is kept.
  virtual void read_ready(ReadId read) = 0;
  virtual void read_failed(ReadId read, Error error) = 0;

  /// More addresses would help (no peers, or fewer than wanted).
  virtual void need_peers() = 0;
  /// Something worth a line in the log. level 0 debug, 1 info, 2 warning.
  virtual void log(int level, std::string_view line) = 0;
};

}  // namespace swarmfs::engine
