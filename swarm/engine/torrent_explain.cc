// Torrent: what parked reads wait for. Nothing here decides anything.
#include "swarm/engine/torrent_explain.h"

#include <algorithm>
#include <utility>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

/// What comes a little after its time is not worth a word.
constexpr Duration kLateIsSaid = std::chrono::milliseconds(20);

/// The blocks of its piece without which the span cannot be handed out.
std::pair<std::uint32_t, std::uint32_t> Torrent::needed_blocks(const Layout::Span& span) const {
  if (!verifies_alone(span)) return {0, layout_.block_count(span.piece)};
  return {span.first_block(), span.end_block()};
}

CopyView Torrent::view_copy(const Peer& peer, const wire::BlockRef& block, TimePoint now) const {
  CopyView view;
  view.peer = view_peer(peer);
  TimePoint sent = now;
  for (const Outstanding& o : peer.outstanding) {
    if (o.of(block.piece, block.begin / kBlockSize)) {
      sent = o.sent;
      view.late = now > o.due + kLateIsSaid;
      break;
    }
    view.queued += o.block.length;
  }
  view.asked = now - sent;
  // One that stalls is asked again now and then, which must not make it look fresh.
  const TimePoint since =
      peer.snubbed ? std::max(peer.connected_at, peer.last_block) : std::max(sent, peer.last_block);
  view.silent = now - since;
  view.late = view.late || peer.snubbed;
  view.expected = peer.pace.estimate(view.queued);
  return view;
}

PeerView Torrent::view_peer(const Peer& peer) {
  PeerView view;
  view.endpoint = peer.endpoint;
  view.client = peer.client_name;
  // Who says nothing of itself may still have begun its id in the usual way: -AB1234-.
  if (view.client.empty() && peer.client_id[0] == '-' && peer.client_id[7] == '-')
    view.client.assign(peer.client_id.begin() + 1, peer.client_id.begin() + 7);
  view.choking = peer.peer_choking;
  view.choked = peer.am_choking;
  view.snubbed = peer.snubbed;
  view.rtt = peer.pace.rtt();
  view.rate_bps = peer.pace.rate_bps();
  return view;
}

std::vector<PeerView> Torrent::peers(TimePoint now) const {
  std::vector<PeerView> views;
  for (const auto& [id, peer] : peers_) {
    if (peer->closing || !peer->ready) continue;
    PeerView& view = views.emplace_back(view_peer(*peer));
    view.down_bps = peer->down.bps(now);
    view.up_bps = peer->up.bps(now);
    view.link = host_.link(peer->id);
    view.source = source_of(*peer);
  }
  return views;
}

WaitCause Torrent::why_not_asked(PieceIndex piece) const {
  if (paused_) return WaitCause::paused;
  if (!verifiable(piece)) return WaitCause::layers;
  bool any = false, holder = false, open = false;
  for (const auto& [id, peer] : peers_) {
    if (peer->closing || !peer->ready) continue;
    any = true;
    if (!peer->bits.test(piece)) continue;
    holder = true;
    open = !peer->peer_choking || peer->allowed_fast.contains(piece);
    if (open) break;
  }
  if (!any) return WaitCause::no_peers;
  if (!holder) return WaitCause::nobody_has;
  if (!open) return WaitCause::choked;
  const auto p = partials_.find(piece);
  const bool reserved =
      p != partials_.end() && p->second.on_probation && p->second.sole != PeerId{};
  if (reserved) return WaitCause::probation;
  return held_back_ ? WaitCause::limited : WaitCause::busy;
}

Torrent::Blocker Torrent::blocker(const Layout::Span& span, TimePoint now) const {
  if (span.length == 0 || span_ready(span)) return {};
  if (picker_.state(span.piece) == PieceState::verifying) return {WaitCause::verifying, {}};
  const auto p = partials_.find(span.piece);
  if (p == partials_.end()) return {why_not_asked(span.piece), {}};
  const auto [first, end] = needed_blocks(span);
  bool free = false;
  std::optional<std::uint32_t> asked;
  for (std::uint32_t b = first; b < end; ++b) {
    const BlockSlot& slot = p->second.slots[b];
    if (slot.state == BlockSlot::State::free) free = true;
    if (slot.state == BlockSlot::State::requested && !asked) asked = b;
  }
  const WaitCause not_asked = free ? why_not_asked(span.piece) : WaitCause::busy;
  if (not_asked > WaitCause::overdue) return {not_asked, {}};
  if (!asked) return {free ? WaitCause::busy : WaitCause::leaf_hashes, {}};
  // Of several copies the one that is not late speaks: the block comes with it.
  Blocker found{WaitCause::overdue, {}};
  const wire::BlockRef block{span.piece, *asked * kBlockSize,
                             layout_.block_size(span.piece, *asked)};
  for (const PeerId id : p->second.slots[*asked].asked) {
    const auto peer = peers_.find(id);
    if (peer == peers_.end()) continue;
    if (!found.peer) found.peer = peer->second->endpoint;
    const CopyView copy = view_copy(*peer->second, block, now);
    if (copy.late) continue;
    return {WaitCause::asked, peer->second->endpoint};
  }
  return found;
}

Torrent::Blocker Torrent::blocker(const ParkedRead& read, TimePoint now) const {
  Blocker worst;
  for (const Layout::Span& span : read.spans) {
    const Blocker found = blocker(span, now);
    if (found.cause > worst.cause) worst = found;
  }
  return worst;
}

PieceView Torrent::view_piece(const Layout::Span& span, TimePoint now) const {
  PieceView view;
  view.piece = span.piece;
  view.span = span;
  view.state = picker_.state(span.piece);
  view.cause = blocker(span, now).cause;
  std::optional<wire::HashRef> layer;  // a run of it serves many pieces
  if (!verifiable(span.piece)) layer = layer_run(layout_.file_of(span.piece), span.piece);
  for (const auto& [id, peer] : peers_) {
    if (peer->closing || !peer->ready) continue;
    for (const HashFetch& fetch : peer->hash_fetches)
      if (fetch.piece == span.piece || (layer && fetch.ref == *layer))
        view.hashes_asked_of = peer->endpoint;
    if (!peer->bits.test(span.piece)) continue;
    ++view.holders;
    if (peer->peer_choking) ++view.choking;
    if (view.peers.size() < kMaxExplainedPeers) view.peers.push_back(view_peer(*peer));
  }
  const auto leaves = leaves_.find(span.piece);
  view.leaves_known = knows_leaves(span);
  const auto p = partials_.find(span.piece);
  const auto [first, end] = needed_blocks(span);
  const auto look = [&](std::uint32_t b) {
    BlockView block;
    block.begin = b * kBlockSize;
    block.length = layout_.block_size(span.piece, b);
    ++view.needed;
    if (p != partials_.end()) block.state = p->second.slots[b].state;
    if (view.state == PieceState::verifying || block.state == BlockSlot::State::received ||
        block.state == BlockSlot::State::verified) {
      ++view.here;
      return;
    }
    ++(block.state == BlockSlot::State::free ? view.free : view.requested);
    if (p != partials_.end() && p->second.slots[b].asked.size() > 1) ++view.hedged;
    if (view.blocks.size() >= kMaxExplainedBlocks) return;
    block.leaf_known = leaves != leaves_.end() && leaves->second[b].has_value();
    if (p != partials_.end())
      for (const PeerId id : p->second.slots[b].asked)
        if (const auto peer = peers_.find(id); peer != peers_.end())
          block.copies.push_back(
              view_copy(*peer->second, {span.piece, block.begin, block.length}, now));
    view.blocks.push_back(std::move(block));
  };
  for (std::uint32_t b = span.first_block(); b < span.end_block(); ++b) look(b);
  for (std::uint32_t b = first; b < end; ++b)
    if (b < span.first_block() || b >= span.end_block()) look(b);
  return view;
}

TorrentView Torrent::explain(std::span<const ReadId> reads, TimePoint now) const {
  TorrentView view;
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && peer->ready) ++view.peers;
  view.connecting =
      static_cast<unsigned>(half_open_.size() + peers_.size() - closing_) - view.peers;
  view.known = book_.sizes().known;
  view.disk_full = disk_full_;
  view.contradicted = contradicted_;
  for (const ReadId id : reads) {
    const auto it = reads_.find(id);
    if (it == reads_.end()) continue;
    if (view.reads.size() >= kMaxExplainedReads) break;
    const ParkedRead& read = it->second;
    ReadView shown;
    shown.read = id;
    shown.waited = now - read.trace.parked();
    shown.times_out = read.last_progress + config_.read_timeout - now;
    const Blocker found = blocker(read, now);
    shown.cause = found.cause;
    shown.peer = found.peer;
    for (const Layout::Span& span : read.spans)
      if (shown.pieces.size() < kMaxExplainedPieces && span.length > 0 && !span_ready(span))
        shown.pieces.push_back(view_piece(span, now));
    view.reads.push_back(std::move(shown));
  }
  return view;
}

// --- what is noted while reads wait

void Torrent::trace_waits(TimePoint now) {
  unsigned looked = 0;
  for (auto& [id, read] : reads_) {
    if (++looked > limits::kReadsLookedAt) break;
    const Blocker found = blocker(read, now);
    if (found.peer) {
      read.trace.asked(*found.peer, now);
    } else {
      read.trace.turn(found.cause, now);
    }
  }
}

template <class Note>
void Torrent::trace_readers(PieceIndex piece, Note note) {
  const auto waiting = reads_by_piece_.find(piece);
  if (waiting == reads_by_piece_.end()) return;
  for (const ReadId id : waiting->second)
    if (const auto it = reads_.find(id); it != reads_.end()) note(it->second.trace);
}

void Torrent::trace_asked(const Peer& peer, PieceIndex piece, TimePoint now) {
  trace_readers(piece, [&](WaitTrace& trace) { trace.asked(peer.endpoint, now); });
}

void Torrent::trace_arrival(const Peer& peer, const PartialPiece& p, TimePoint now) {
  trace_readers(p.piece,
                [&](WaitTrace& trace) { trace.arrived(peer.endpoint, p.complete(), now); });
}

}  // namespace swarmfs::engine
