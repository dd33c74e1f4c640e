// Torrent: what readers will want next, and what they or the end of the download wait for too long.
//
// A window is what lies ahead of one reader. Its pieces are fetched nearest first, and over all
// readers the one goes first whose next missing piece is nearest: a reader with a long way still
// covered does not starve one that is about to wait. Peers that would bring a block too late take
// one further ahead instead.
#include <algorithm>
#include <utility>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

using std::chrono::milliseconds;

/// How long a reader that takes all that the peers can bring needs for a piece. It may be slower;
/// then there is more time than this says.
Duration Torrent::shortest_piece_time() const {
  double bps = 0;
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && !peer->peer_choking && !peer->snubbed) bps += peer->pace.rate_bps();
  return from_seconds(layout_.piece_length() / std::max(bps, 1e4));
}

/// The nearest piece of a window that this peer may be asked for now: with a block that nobody was
/// asked for, and not too near for what the peer can do. `allow_new`: one not begun yet will do.
std::optional<PieceIndex> Torrent::nearest(const Peer& peer, Window& window, Duration each,
                                           bool allow_new) const {
  const Duration mine = next_block_in(peer);
  bool contiguous = true;
  for (PieceIndex piece = window.cursor; piece < window.end; ++piece) {
    const PieceState state = picker_.state(piece);
    const auto it = partials_.find(piece);
    const PartialPiece* p = it == partials_.end() ? nullptr : &it->second;
    if (state == PieceState::have || state == PieceState::verifying ||
        (p != nullptr && p->free == 0)) {
      if (contiguous) window.cursor = PieceIndex(piece.value + 1);
      continue;
    }
    contiguous = false;
    if ((p == nullptr && !allow_new) || !may_ask(peer, piece)) continue;
    if (p != nullptr && p->on_probation && p->sole != PeerId{} && p->sole != peer.id) continue;
    const auto ahead = static_cast<Duration::rep>(piece.value - window.first.value);
    if (mine <= each * ahead || worth_asking(peer, piece)) return piece;
  }
  return std::nullopt;
}

std::optional<wire::BlockRef> Torrent::next_in_windows(Peer& peer) {
  if (windows_.empty()) return std::nullopt;
  const Duration each = shortest_piece_time();
  for (const bool allow_new : {true, false}) {
    std::optional<PieceIndex> best;
    std::uint32_t least = 0;
    for (auto& [handle, window] : windows_) {
      const auto piece = nearest(peer, window, each, allow_new);
      if (!piece || (best && piece->value - window.first.value >= least)) continue;
      best = piece;
      least = piece->value - window.first.value;
    }
    if (!best) return std::nullopt;
    if (partial(*best) == nullptr && !make_room()) continue;
    return free_block(*best, peer, 0, layout_.block_count(*best));
  }
  return std::nullopt;
}

/// Whether the copy in flight with `holder` will take much longer than `mine` from now.
bool Torrent::overdue(PeerId holder, const wire::BlockRef& block, Duration mine,
                      TimePoint now) const {
  const auto it = peers_.find(holder);
  if (it == peers_.end() || it->second->snubbed) return true;
  const Peer& peer = *it->second;
  std::uint64_t ahead = 0;
  TimePoint sent = now;
  for (const Outstanding& o : peer.outstanding) {
    if (o.block == block) {
      sent = o.sent;
      break;
    }
    ahead += o.block.length;
  }
  const Duration expected = peer.pace.estimate(ahead);
  const Duration silent = now - std::max(sent, peer.last_block);
  // What it should still need, or as long again as it has been silent if it is late already.
  const Duration left = silent > expected ? silent : expected;
  return left > mine * 2 + milliseconds(20);
}

/// The first block of a piece with fewer copies in flight than `copies`, all of them overdue.
Torrent::Hedge Torrent::find_overdue(const Peer& peer, PieceIndex piece, std::size_t copies,
                                     TimePoint now) const {
  Hedge found;
  const auto it = partials_.find(piece);
  if (it == partials_.end() || it->second.on_probation || !may_ask(peer, piece)) return found;
  const PartialPiece& p = it->second;
  const Duration mine = next_block_in(peer);
  for (std::uint32_t b = 0; b < p.slots.size() && !found.block; ++b) {
    const BlockSlot& slot = p.slots[b];
    if (slot.state != BlockSlot::State::requested || slot.asked.size() >= copies ||
        p.asked_of(b, peer.id))
      continue;
    found.possible = true;
    const wire::BlockRef block{piece, b * kBlockSize, layout_.block_size(piece, b)};
    if (overdue(slot.asked.back(), block, mine, now)) found.block = block;
  }
  return found;
}

bool Torrent::hedged_enough() const { return hedged_ > downloaded_ / limits::kHedgedShare; }

/// A second copy of what a reader waits for, or will very soon, and whose first takes too long.
std::optional<wire::BlockRef> Torrent::next_hedge(Peer& peer, TimePoint now) {
  if (now < peer.hedge_after || (reads_.empty() && windows_.empty())) return std::nullopt;
  bool possible = false;
  unsigned looked = 0;
  for (const auto& [id, read] : reads_) {
    if (++looked > limits::kReadsHedged) break;
    for (const Layout::Span& span : read.spans) {
      const Hedge found = find_overdue(peer, span.piece, limits::kMaxUrgentCopies, now);
      if (found.block) return found.block;
      possible = possible || found.possible;
    }
  }
  if (!hedged_enough()) {
    for (const auto& [handle, window] : windows_) {
      const std::uint32_t end =
          std::min(window.end.value, window.first.value + limits::kPiecesHedgedAhead);
      for (PieceIndex piece = window.first; piece.value < end; ++piece) {
        const Hedge found = find_overdue(peer, piece, limits::kMaxCopies, now);
        possible = possible || found.possible;
        if (!found.block) continue;
        hedged_ += found.block->length;
        return found.block;
      }
    }
  }
  // Looking costs more than asking: not again at once, and the less often the more there are to
  // look.
  peer.hedge_after = now + limits::kHedgeEvery * (1 + peers_.size() / 8);
  if (possible) wake_at(peer.hedge_after);
  return std::nullopt;
}

/// Every missing block is with somebody, so the slow ones are asked again; but most second copies
/// would only cross what is on its way.
std::optional<wire::BlockRef> Torrent::next_in_end_game(Peer& peer, TimePoint now) {
  if (hedged_enough() || (anything_to_begin() && !config_.on_demand)) return std::nullopt;
  bool possible = false;
  for (const auto& [piece, p] : partials_) {
    const Hedge found = find_overdue(peer, piece, limits::kMaxCopies, now);
    possible = possible || found.possible;
    if (!found.block) continue;
    hedged_ += found.block->length;
    return found.block;
  }
  const Duration mine = next_block_in(peer);
  if (possible) wake_at(now + std::max<Duration>(mine, milliseconds(20)));
  return std::nullopt;
}

}  // namespace swarmfs::engine
