// Torrent: what readers will want next, and what they or the end of the download wait for too long.
//
// A window is what lies ahead of one reader. Each of its pieces has a deadline: when the reader
// gets there, at the rate at which it has been reading, or at the rate at which all peers together
// deliver if it takes whatever comes. Over all windows the missing piece goes first whose deadline
// is first, and a peer that would be late for it takes a later one instead.
#include <algorithm>
#include <utility>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

using std::chrono::milliseconds;

/// Bytes a second that the peers which may be asked have been delivering when asked.
double Torrent::capacity_bps() const {
  double bps = 0;
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && !peer->peer_choking && !peer->snubbed) bps += peer->pace.rate_bps();
  return std::max(bps, 1e4);
}

/// How far a window reaches at least, in pieces: as far as it takes to keep every peer busy.
/// Whoever reads in order would get no more than a share of the line otherwise, and the rest would
/// go to what nobody reads.
std::uint32_t Torrent::pieces_to_fill_the_line(double capacity) const {
  double bytes = 0;
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && !peer->peer_choking && peer->pace.rate_bps() > 0)
      bytes += kBlockSize * static_cast<double>(depth(*peer));
  if (!config_.on_demand) bytes = std::max(bytes * 2, capacity * to_seconds(limits::kWindowLasts));
  return static_cast<std::uint32_t>(std::min(bytes, limits::kWidestFill) / layout_.piece_length()) +
         1;
}

/// The peers may have become faster since the readers last moved. Gives what they bring together,
/// capacity_bps(); 0 where there are no windows.
double Torrent::widen_windows() {
  if (windows_.empty()) return 0;
  const double capacity = capacity_bps();
  const std::uint32_t least = pieces_to_fill_the_line(capacity);
  for (auto& [handle, window] : windows_) {
    const PieceIndex reach(std::min(window.ahead.first.value + least, window.ahead.limit.value));
    window.ahead.end = std::max(window.ahead.end, reach);
  }
  return capacity;
}

/// Whether the peers can keep ahead of the reader.
bool Torrent::paced(const Window& window, double capacity) {
  return window.ahead.bps > 0 && window.ahead.bps < capacity * limits::kPacedShare;
}

/// How long until the reader gets to a piece of its window; negative if it should be there already.
Duration Torrent::slack(const Window& window, PieceIndex piece, double capacity,
                        TimePoint now) const {
  const auto pieces = static_cast<double>(piece.value - window.ahead.first.value);
  const double bytes =
      std::max(0.0, pieces * layout_.piece_length() - static_cast<double>(window.ahead.begin));
  if (!paced(window, capacity)) return from_seconds(bytes / capacity);
  return from_seconds(bytes / window.ahead.bps) - (now - window.told_at);
}

/// The nearest piece of a window that this peer may be asked for now: with a block that nobody was
/// asked for, and not too near for what the peer can do. `allow_new`: one not begun yet will do.
std::optional<Torrent::Near> Torrent::nearest(const Peer& peer, Window& window, double capacity,
                                              bool allow_new, TimePoint now) const {
  const Duration mine = next_block_in(peer);
  // What an unknown peer makes of one request says whether it may be trusted with more.
  const bool untried = peer.pace.rate_bps() == 0 && !peer.outstanding.empty();
  bool contiguous = true;
  for (PieceIndex piece = window.cursor; piece < window.ahead.end; ++piece) {
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
    const Duration left = slack(window, piece, capacity, now);
    if (untried && left < limits::kUntriedSlack && some_peer_is_tried()) continue;
    if (mine <= left || worth_asking(peer, piece)) return Near{piece, left};
  }
  return std::nullopt;
}

bool Torrent::some_peer_is_tried() const {
  return std::any_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    const Peer& peer = *entry.second;
    return !peer.closing && !peer.snubbed && !peer.peer_choking && peer.pace.rate_bps() > 0;
  });
}

bool Torrent::has_parked_read(HandleId handle) const {
  return std::any_of(reads_.begin(), reads_.end(),
                     [handle](const auto& entry) { return entry.second.owner.handle == handle; });
}

/// The block with the first deadline in any of these windows.
std::optional<wire::BlockRef> Torrent::next_in_windows(Peer& peer, Windows which, double capacity,
                                                       TimePoint now) {
  if (windows_.empty()) return std::nullopt;
  const bool pressing = which == Windows::pressing;
  // As long as a piece takes, twice over, and a hedge with it.
  const Duration close =
      from_seconds(2 * layout_.piece_length() / capacity) + limits::kPressingSlack;
  for (const bool allow_new : {true, false}) {
    std::optional<Near> best;
    const Window* of = nullptr;
    for (auto& [handle, window] : windows_) {
      if (pressing && !paced(window, capacity)) continue;
      if (which == Windows::waited_for && !has_parked_read(handle)) continue;
      const auto near = nearest(peer, window, capacity, allow_new, now);
      if (!near || (pressing && near->slack > close) || (best && near->slack >= best->slack))
        continue;
      best = near;
      of = &window;
    }
    if (!best) return std::nullopt;
    const PieceIndex piece = best->piece;
    if (partial(piece) == nullptr && !make_room()) continue;
    // Where the reader is first, since blocks of a v2 piece are readable one by one.
    const std::uint32_t at = piece == of->ahead.first ? of->ahead.begin / kBlockSize : 0;
    if (auto block = free_block(piece, peer, at, layout_.block_count(piece))) return block;
    return free_block(piece, peer, 0, at);
  }
  return std::nullopt;
}

/// Whether so many copies have come in vain that another is asked for only of what has stalled.
bool Torrent::thrifty() const {
  return duplicates_ > downloaded_ / limits::kDuplicatesShare + limits::kDuplicatesAtFirst;
}

/// How long the copy in flight with `holder` will still take. One that is late is taken to need as
/// long again as it is late: a connection that repairs its losses brings a little now and then.
Duration Torrent::time_left(PeerId holder, const wire::BlockRef& block, TimePoint now) const {
  const auto it = peers_.find(holder);
  if (it == peers_.end() || it->second->snubbed) return std::chrono::hours(1);
  const Peer& peer = *it->second;
  std::uint64_t ahead = 0;
  for (const Outstanding& o : peer.outstanding) {
    if (o.of(block.piece, block.begin / kBlockSize)) {
      const Duration expected = peer.pace.estimate(ahead);
      const Duration silent = now - std::max(o.sent, peer.last_block);
      const Duration late = (now - o.due) / (thrifty() ? 2 : 1);
      return std::max({expected, late, silent > expected ? silent : Duration{}});
    }
    ahead += o.block.length;
  }
  return std::chrono::hours(1);
}

/// The first block of a piece with room for another copy in flight, which this peer would bring
/// long before those that are; what is waited for may have more, and sooner.
Torrent::Hedge Torrent::find_overdue(const Peer& peer, PieceIndex piece, bool waited_for,
                                     TimePoint now) const {
  Hedge found;
  const auto it = partials_.find(piece);
  if (it == partials_.end() || it->second.on_probation || !may_ask(peer, piece)) return found;
  const PartialPiece& p = it->second;
  const std::size_t copies = waited_for ? limits::kMaxUrgentCopies : limits::kMaxCopies;
  const Duration mine = next_block_in(peer);
  const Duration worth_it = (waited_for && !thrifty() ? mine * 3 / 2 : mine * 2) + milliseconds(20);
  for (std::uint32_t b = 0; b < p.slots.size() && !found.block; ++b) {
    const BlockSlot& slot = p.slots[b];
    if (slot.state != BlockSlot::State::requested || slot.asked.size() >= copies ||
        p.asked_of(b, peer.id))
      continue;
    found.possible = true;
    const wire::BlockRef block{piece, b * kBlockSize, layout_.block_size(piece, b)};
    if (time_left(slot.asked.back(), block, now) > worth_it) found.block = block;
  }
  return found;
}

bool Torrent::hedged_enough() const { return hedged_ > downloaded_ / limits::kHedgedShare; }

/// A second copy of what a reader waits for, or will very soon, and whose first takes too long.
std::optional<wire::BlockRef> Torrent::next_hedge(Peer& peer, TimePoint now) {
  if (reads_.empty() && windows_.empty()) return std::nullopt;
  if (now < peer.hedge_after) {
    // A timer that went off for another reason took the one for the next look with it.
    if (!reads_.empty() && peer.nothing_to_hedge != asked_blocks_) wake_at(peer.hedge_after);
    return std::nullopt;
  }
  bool possible = false;
  unsigned looked = 0;
  for (const ReadId id : turns_.order()) {
    if (++looked > limits::kReadsHedged) break;
    for (const Layout::Span& span : reads_.at(id).spans) {
      const Hedge found = find_overdue(peer, span.piece, true, now);
      if (found.block) return found.block;
      possible = possible || found.possible;
    }
  }
  if (!hedged_enough()) {
    for (const auto& [handle, window] : windows_) {
      const std::uint32_t end =
          std::min(window.ahead.end.value, window.ahead.first.value + limits::kPiecesHedgedAhead);
      for (PieceIndex piece = window.ahead.first; piece.value < end; ++piece) {
        const Hedge found = find_overdue(peer, piece, false, now);
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
  peer.nothing_to_hedge = possible ? 0 : asked_blocks_;
  if (possible) wake_at(peer.hedge_after);
  return std::nullopt;
}

/// Every missing block is with somebody, so the slow ones are asked again; but most second copies
/// would only cross what is on its way.
std::optional<wire::BlockRef> Torrent::next_in_end_game(Peer& peer, TimePoint now) {
  if (hedged_enough() || (anything_to_begin() && !config_.on_demand)) return std::nullopt;
  bool possible = false;
  for (const auto& [piece, p] : partials_) {
    const Hedge found = find_overdue(peer, piece, false, now);
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
