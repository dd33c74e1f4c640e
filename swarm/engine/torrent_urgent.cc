// Torrent: which block is needed most, and by whom it comes soonest.
//
// Parked reads are served oldest first, programs in turn. A reader that is slower than the peers
// and near what is missing (a film about to stall) goes before the parked reads of others, on which
// nothing but patience depends; of each limits::kPressingRun + 1 blocks they get one at least.
#include <algorithm>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

bool Torrent::worth_asking(const Peer& peer, PieceIndex piece) const {
  // An urgent block goes to a peer only if no other would bring it in half the time; a full queue
  // there is part of the estimate, so nobody idles for long.
  const Duration mine = next_block_in(peer);
  return std::none_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& other = *entry.second;
    return other.id != peer.id && !other.closing && !other.snubbed && may_ask(other, piece) &&
           much_sooner(next_block_in(other), mine);
  });
}

/// How long a block asked of a peer now would take. One that has stalled is the last to ask.
Duration Torrent::next_block_in(const Peer& peer) {
  if (peer.snubbed) return std::chrono::hours(1);
  return peer.pace.estimate(peer.outstanding.size() * std::uint64_t{kBlockSize}) + peer.lateness;
}

/// A block of the first parked read in turn that has one to ask for, of those `of` picks.
template <class Of>
std::optional<wire::BlockRef> Torrent::next_urgent(Peer& peer, Of of) {
  std::optional<PieceIndex> last;
  for (const ReadId id : turns_.order()) {
    const ParkedRead& read = reads_.at(id);
    if (!of(read)) continue;
    for (const Layout::Span& span : read.spans) {
      if (last == span.piece || !may_ask(peer, span.piece) || span.length == 0) continue;
      const PartialPiece* p = partial(span.piece);
      if (p != nullptr && p->free == 0) {
        last = span.piece;
        continue;
      }
      // The range itself first; the rest of the piece as well, unless the range alone can be
      // verified: then the rest would only stand in the way of the next read.
      const std::uint32_t first = span.first_block();
      const std::uint32_t end = span.end_block();
      const bool of_range = p == nullptr || p->any_free(first, end);
      if (!of_range && verifies_alone(span)) continue;
      if (!worth_asking(peer, span.piece)) continue;  // last, since it looks at every peer
      if (of_range)
        if (auto block = free_block(span.piece, peer, first, end)) return block;
      if (verifies_alone(span)) continue;
      if (auto block = free_block(span.piece, peer, 0, layout_.block_count(span.piece)))
        return block;
    }
  }
  return std::nullopt;
}

/// What somebody waits for, or a film is about to.
std::optional<wire::BlockRef> Torrent::next_needed(Peer& peer, double capacity, TimePoint now) {
  const bool any_paced = std::any_of(windows_.begin(), windows_.end(), [&](const auto& entry) {
    return paced(entry.second, capacity);
  });
  if (!any_paced) return next_urgent(peer, [](const ParkedRead&) { return true; });
  const auto of_paced = [&](const ParkedRead& read) {
    const auto window = windows_.find(read.owner.handle);
    return window != windows_.end() && paced(window->second, capacity);
  };
  const auto of_others = [&](const ParkedRead& read) { return !of_paced(read); };
  if (auto block = next_urgent(peer, of_paced)) return block;
  // Beyond the peer's depth only a film's own reads: others' would crowd it out.
  if (peer.outstanding.size() >= depth(peer)) return std::nullopt;
  if (pressing_run_ >= limits::kPressingRun) {
    if (auto block = next_urgent(peer, of_others)) {
      pressing_run_ = 0;
      return block;
    }
  }
  if (auto block = next_in_windows(peer, Windows::pressing, capacity, now)) {
    ++pressing_run_;
    return block;
  }
  auto block = next_urgent(peer, of_others);
  if (block) pressing_run_ = 0;
  return block;
}

}  // namespace swarmfs::engine
