// What parked reads wait for, now: the answer of Torrent::explain(). Plain values, bounded in size.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/layout.h"
#include "swarm/base/peer_link.h"
#include "swarm/base/strong_index.h"
#include "swarm/engine/partial_piece.h"
#include "swarm/engine/peer_book.h"
#include "swarm/engine/piece_picker.h"
#include "swarm/engine/wait_trace.h"

namespace swarmfs::engine {

/// The most that is listed; counts are of all there are.
inline constexpr std::size_t kMaxExplainedReads = 64;
inline constexpr std::size_t kMaxExplainedPieces = 8;   ///< of a read
inline constexpr std::size_t kMaxExplainedBlocks = 16;  ///< of a piece
inline constexpr std::size_t kMaxExplainedPeers = 8;    ///< of a piece

/// A peer as far as a waiting read is concerned.
struct PeerView {
  Endpoint endpoint;
  std::string client;  ///< as the peer calls itself: any bytes, made printable by who shows them
  bool choking = false;
  bool snubbed = false;  ///< owes blocks and has sent none for long
  Duration rtt{};        ///< the smallest of late
  double rate_bps = 0;   ///< bytes a second, while it had something to send; 0: not seen at work
  bool choked = false;   ///< by us
  double down_bps = 0;   ///< bytes a second of late, from it
  double up_bps = 0;     ///< and to it
  PeerLink link;         ///< these four only from Torrent::peers()
  std::optional<PeerSource> source{};  ///< nothing for a web seed
};

/// A request in flight.
struct CopyView {
  PeerView peer;
  Duration asked{};          ///< ago
  Duration silent{};         ///< since then, or since the last block it sent
  Duration expected{};       ///< what a block asked now would take, behind `queued`
  std::uint64_t queued = 0;  ///< bytes asked of this peer before this block
  bool late = false;         ///< it should have been here, or the peer stalls
};

struct BlockView {
  std::uint32_t begin = 0;   ///< in its piece
  std::uint32_t length = 0;  ///< bytes
  BlockSlot::State state = BlockSlot::State::free;
  bool leaf_known = false;       ///< verified on its own when it comes (BEP 52)
  std::vector<CopyView> copies;  ///< two and more: hedged
};

struct PieceView {
  PieceIndex piece;
  Layout::Span span;  ///< what the read wants of it
  PieceState state = PieceState::absent;
  WaitCause cause = WaitCause::handing_over;
  /// Blocks that must come before the span can be handed out: those of the span if their leaf
  /// hashes are known, else all of the piece. `needed` = here + requested + free.
  std::uint32_t needed = 0;
  std::uint32_t here = 0;
  std::uint32_t requested = 0;
  std::uint32_t free = 0;
  std::uint32_t hedged = 0;                 ///< of those requested: of more than one peer
  bool leaves_known = false;                ///< some leaf hashes of the piece
  std::optional<Endpoint> hashes_asked_of;  ///< leaf hashes or piece layer, in flight
  std::uint32_t holders = 0;                ///< connected peers that have the piece
  std::uint32_t choking = 0;                ///< of those
  std::vector<PeerView> peers;              ///< the first of the holders
  std::vector<BlockView> blocks;            ///< needed and not here: the span's first
};

struct ReadView {
  ReadId read;
  Duration waited{};     ///< since it was parked
  Duration times_out{};  ///< from now, if nothing comes
  WaitCause cause = WaitCause::handing_over;
  std::optional<Endpoint> peer;   ///< whom `cause` is about: asked and overdue
  std::vector<PieceView> pieces;  ///< that are not here
};

struct TorrentView {
  std::vector<ReadView> reads;  ///< of those asked about, the ones parked now
  unsigned peers = 0;           ///< connected, handshake done
  unsigned connecting = 0;
  std::size_t known = 0;  ///< addresses
  bool disk_full = false;
  bool contradicted = false;
};

}  // namespace swarmfs::engine
