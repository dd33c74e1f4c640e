#include "tests/sim/probe.h"

#include <algorithm>

namespace swarmfs::engine {

using State = BlockSlot::State;

static std::string name(PieceIndex piece, std::uint32_t block) {
  return "block " + std::to_string(piece.value) + ":" + std::to_string(block);
}

std::string TorrentProbe::broken(const Torrent& t, bool thorough) {
  if (t.closing_ != 0) return "a dropped peer is still there after its event";
  if (!t.dirty_.empty()) return "bytes were left unsent";
  if (t.refill_) return "peers were left without a look at their queues";
  for (const auto check : {broken_partials, broken_requests, broken_reads, idle_though_urgent})
    if (auto what = check(t); !what.empty()) return what;
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

std::string TorrentProbe::broken_reads(const Torrent& t) {
  for (const auto& [id, read] : t.reads_) {
    const std::uint32_t here = t.start_here(read.spans);
    if (here == read.length) return "a read waits for what is here";
    if (here > read.told) return "a reader was not told how much of its read is here";
  }
  return {};
}

std::string TorrentProbe::idle_though_urgent(const Torrent& t) {
  for (const auto& [id, read] : t.reads_) {
    for (const Layout::Span& span : read.spans) {
      const auto p = t.partials_.find(span.piece);
      const std::uint32_t first = span.begin / kBlockSize;
      const std::uint32_t last = (span.begin + span.length - 1) / kBlockSize;
      bool wanted = t.picker_.state(span.piece) == PieceState::absent;
      if (p != t.partials_.end()) {
        if (p->second.on_probation) continue;
        for (std::uint32_t b = first; b <= last; ++b)
          wanted = wanted || p->second.slots[b].state == State::free;
      }
      if (!wanted) continue;
      for (const auto& [peer_id, peer] : t.peers_) {
        if (!peer->ready || !peer->am_interested || peer->snubbed || !peer->outstanding.empty())
          continue;
        if (t.may_ask(*peer, span.piece) && t.worth_asking(*peer, span.piece))
          return name(span.piece, first) + " is waited for, and peer " +
                 std::to_string(peer_id.value) + " is idle";
      }
    }
  }
  return {};
}

}  // namespace swarmfs::engine
