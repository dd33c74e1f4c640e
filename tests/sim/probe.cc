#include "tests/sim/probe.h"

#include <algorithm>

#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

using State = BlockSlot::State;

static std::string name(PieceIndex piece, std::uint32_t block) {
  return "block " + std::to_string(piece.value) + ":" + std::to_string(block);
}

std::string TorrentProbe::broken(const Torrent& t, TimePoint now, bool thorough) {
  if (t.closing_ != 0) return "a dropped peer is still there after its event";
  if (!t.dirty_.empty()) return "bytes were left unsent";
  if (t.refill_) return "peers were left without a look at their queues";
  for (const auto check : {broken_partials, broken_requests, over_budget, leaves_unasked})
    if (auto what = check(t); !what.empty()) return what;
  if (auto what = broken_reads(t, now); !what.empty()) return what;
  if (auto what = idle_though_urgent(t, now); !what.empty()) return what;
  return thorough ? broken_availability(t) : std::string();
}

std::size_t TorrentProbe::outstanding(const Torrent& t) {
  std::size_t n = 0;
  for (const auto& [id, peer] : t.peers_) n += peer->outstanding.size();
  return n;
}

std::string TorrentProbe::broken_partials(const Torrent& t) {
  std::uint32_t fetching = 0;
  for (const auto& [piece, p] : t.partials_) {
    const PieceState state = t.picker_.state(piece);
    if (state != PieceState::in_flight && state != PieceState::verifying)
      return "piece " + std::to_string(piece.value) + " has blocks but is not being fetched";
    ++fetching;
    std::uint32_t free = 0, here = 0;
    for (std::uint32_t b = 0; b < p.slots.size(); ++b) {
      const BlockSlot& slot = p.slots[b];
      free += slot.state == State::free;
      here += slot.here();
      if (slot.here() != (slot.data != nullptr)) return name(piece, b) + ": data and state differ";
      if ((slot.state == State::requested) != !slot.asked.empty())
        return name(piece, b) + ": requests and state differ";
      if (slot.asked.size() > limits::kMaxUrgentCopies)
        return name(piece, b) + " has too many copies in flight";
      for (const PeerId id : slot.asked) {
        const auto peer = t.peers_.find(id);
        if (peer == t.peers_.end()) return name(piece, b) + " is with a peer that is gone";
        const auto& asked = peer->second->outstanding;
        if (std::none_of(asked.begin(), asked.end(), [&](const auto& o) {
              return o.block.piece == piece && o.block.begin / kBlockSize == b;
            }))
          return name(piece, b) + " is with a peer that does not know it";
      }
    }
    if (free != p.free || here != p.here)
      return "piece " + std::to_string(piece.value) + " miscounts its blocks";
  }
  std::uint32_t gone = t.picker_.absent_count() + t.picker_.have().count();
  if (gone + fetching != t.layout_.piece_count()) return "a piece in flight has no blocks";
  return {};
}

std::string TorrentProbe::broken_requests(const Torrent& t) {
  for (const auto& [id, peer] : t.peers_) {
    for (auto it = peer->outstanding.begin(); it != peer->outstanding.end(); ++it) {
      const wire::BlockRef& block = it->block;
      const std::uint32_t index = block.begin / kBlockSize;
      if (std::any_of(peer->outstanding.begin(), it,
                      [&](const auto& o) { return o.block == block; }))
        return name(block.piece, index) + " is asked twice of one peer";
      const auto p = t.partials_.find(block.piece);
      if (p == t.partials_.end() || !p->second.asked_of(index, id))
        return name(block.piece, index) + " is asked of a peer and nobody remembers";
    }
    if (peer->peer_choking && peer->allowed_fast.empty() && !peer->outstanding.empty())
      return "a peer that chokes us has requests of ours";
  }
  return {};
}

std::string TorrentProbe::broken_availability(const Torrent& t) {
  for (std::uint32_t i = 0; i < t.layout_.piece_count(); ++i) {
    std::uint32_t copies = 0;
    for (const auto& [id, peer] : t.peers_) copies += peer->bits.test(PieceIndex(i));
    if (copies != t.picker_.availability(PieceIndex(i)))
      return "piece " + std::to_string(i) + " is with " + std::to_string(copies) +
             " peers, the picker says " + std::to_string(t.picker_.availability(PieceIndex(i)));
  }
  return {};
}

std::string TorrentProbe::broken_reads(const Torrent& t, TimePoint now) {
  // Timers of one instant come in any order, and the engine is not woken more often than this.
  constexpr Duration kLate = limits::kMinWake * 2;
  for (const auto& [id, read] : t.reads_) {
    const std::uint32_t here = t.start_here(read.spans);
    if (here == read.length) return "a read waits for what is here";
    if (here > read.told) return "a reader was not told how much of its read is here";
    if (now - read.last_progress > t.config_.read_timeout + kLate)
      return "read " + std::to_string(id.value) + " outlives its time without progress";
  }
  return {};
}

/// Copies that no parked read asks for are a share of what came, and one block for a start.
std::string TorrentProbe::over_budget(const Torrent& t) {
  if (t.hedged_ <= t.downloaded_ / limits::kHedgedShare + kBlockSize) return {};
  return std::to_string(t.hedged_) + " bytes asked for twice ahead of readers, of " +
         std::to_string(t.downloaded_) + " that came";
}

std::string TorrentProbe::idle_though_urgent(const Torrent& t, TimePoint now) {
  if (t.held_back_) return {};
  for (const auto& [id, read] : t.reads_) {
    for (const Layout::Span& span : read.spans) {
      // What cannot be verified on its own is waited for to the end of its piece.
      const bool alone = t.verifies_alone(span);
      const std::uint32_t first = alone ? span.begin / kBlockSize : 0;
      const std::uint32_t end = alone ? (span.begin + span.length - 1) / kBlockSize + 1
                                      : t.layout_.block_count(span.piece);
      const auto p = t.partials_.find(span.piece);
      const bool begun = p != t.partials_.end();
      if (begun ? !p->second.any_free(first, end)
                : t.picker_.state(span.piece) != PieceState::absent)
        continue;
      for (const auto& [peer_id, peer] : t.peers_) {
        if (!peer->ready || !peer->am_interested || !peer->outstanding.empty()) continue;
        // A piece that failed is fetched from one peer alone.
        if (begun && p->second.on_probation && p->second.sole != PeerId{} &&
            p->second.sole != peer_id)
          continue;
        // Its hashes first; the block may be for another that is about to greet.
        if (t.owes_first_hashes(*peer) &&
            now - peer->hash_fetches.front().sent < limits::kGreetTogether)
          continue;
        if (t.may_ask(*peer, span.piece) && t.worth_asking(*peer, span.piece))
          return name(span.piece, first) + " or later is waited for, and peer " +
                 std::to_string(peer_id.value) + " is idle";
      }
    }
  }
  return {};
}

/// A v2 read whose leaf hashes nobody was asked for, though somebody could be.
std::string TorrentProbe::leaves_unasked(const Torrent& t) {
  if (!t.metainfo_->has_v2()) return {};
  unsigned looked = 0;
  for (const auto& [id, read] : t.reads_) {
    if (++looked > limits::kReadsLookedAt) break;
    for (const Layout::Span& span : read.spans) {
      if (t.layout_.block_count(span.piece) < 2 || !t.roots_->of(span.piece) ||
          t.picker_.state(span.piece) == PieceState::have || t.knows_leaves(span))
        continue;
      const PeerId* able = nullptr;
      bool asked = false;
      for (const auto& [peer_id, peer] : t.peers_) {
        for (const auto& fetch : peer->hash_fetches)
          asked = asked || (fetch.piece == span.piece && fetch.ref.base_layer == 0);
        if (peer->v2 && !peer->no_leaves && peer->leaves_after == TimePoint{} &&
            peer->bits.test(span.piece) && peer->hash_fetches.size() < limits::kMaxHashFetches)
          able = &peer_id;
      }
      if (!asked && able != nullptr)
        return "the leaves of piece " + std::to_string(span.piece.value) +
               " are waited for, and peer " + std::to_string(able->value) + " is not asked";
    }
  }
  return {};
}

}  // namespace swarmfs::engine
