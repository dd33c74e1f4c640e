// Torrent: requests and their answers, and what is asked for though nobody waits for it.
//
// The order of all wants is in fill(); SCHEDULING.md has it in words.
#include <algorithm>
#include <utility>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

bool Torrent::may_fill(const Peer& peer, TimePoint now) {
  if (peer.closing || !peer.ready || !peer.am_interested) return false;
  if (peer.peer_choking && peer.allowed_fast.empty()) return false;
  return !owes_first_hashes(peer) || !leaves_blocks_to_others(peer, now);
}

/// Asks a peer for one more block that somebody waits for. False: it gets none now.
bool Torrent::fill_needed(Peer& peer, double capacity, TimePoint now) {
  held_back_ = !down_gate_.open(false, now) && !down_gate_.open(true, now);
  if (held_back_) wake_at(down_gate_.next(now));
  if (held_back_ || peer.outstanding.size() >= most_requests(peer)) return false;
  const auto block = next_needed(peer, capacity, now);
  if (block) ask_needed(peer, *block, now);
  return block.has_value();
}

void Torrent::fill(Peer& peer, TimePoint now) {
  if (!may_fill(peer, now)) return;
  const bool owes_hashes = owes_first_hashes(peer);
  const double capacity = widen_windows();
  while (peer.outstanding.size() < most_requests(peer)) {
    if (fill_needed(peer, capacity, now)) continue;
    if (held_back_) break;
    const bool open = down_gate_.open(false, now);
    if (!open) wake_at(down_gate_.next(now));
    auto block = next_hedge(peer, now);
    if (block) say_reading(peer, block->piece);
    if (!block && !owes_hashes && peer.outstanding.size() < depth(peer))
      block = open ? next_unhurried(peer, capacity, now)
                   : next_in_windows(peer, Windows::waited_for, capacity, now);
    if (!block) break;
    ask(peer, *block, now);
  }
}

/// What somebody waits for, each block of the peer that would bring it first.
void Torrent::spread_needed(TimePoint now) {
  using Turn = std::pair<Duration, Peer*>;
  const auto later = [](const Turn& a, const Turn& b) { return a.first > b.first; };
  std::vector<Turn> turns;
  for (auto& [id, peer] : peers_)
    if (may_fill(*peer, now)) turns.emplace_back(next_block_in(*peer), peer.get());
  if (turns.empty()) return;
  const double capacity = widen_windows();
  std::make_heap(turns.begin(), turns.end(), later);
  while (!turns.empty()) {
    std::pop_heap(turns.begin(), turns.end(), later);
    Peer& soonest = *turns.back().second;
    bool asked = fill_needed(soonest, capacity, now);
    // Every other block would be a request over HTTP each.
    while (asked && soonest.web_seed &&
           next_block_in(soonest) < turns.front().first + limits::kWebRunLasts)
      asked = fill_needed(soonest, capacity, now);
    if (!asked) {
      turns.pop_back();
      continue;
    }
    turns.back().first = next_block_in(soonest);
    std::push_heap(turns.begin(), turns.end(), later);
  }
}

/// Requests to keep with a peer. One that has stalled must show first that it goes on.
std::size_t Torrent::depth(const Peer& peer) {
  return peer.snubbed ? 1 : peer.pace.depth(peer.reqq) + run_ahead(peer);
}

/// And with those that somebody waits for.
std::size_t Torrent::most_requests(const Peer& peer) {
  if (peer.snubbed) return 1;
  const std::size_t ahead = peer.web_seed ? limits::kWebRun : limits::kUrgentAhead;
  return std::max(depth(peer), std::min<std::size_t>(depth(peer) + ahead, peer.reqq));
}

/// While a v2 file's piece layer is missing, a right piece could not be told from a wrong one.
bool Torrent::verifiable(PieceIndex piece) const {
  return metainfo_->has_v1() || roots_->of(piece).has_value();
}

/// Whether a piece is absent and could be verified; those that could not are all absent.
bool Torrent::anything_to_begin() const {
  return picker_.absent_count() > (metainfo_->has_v1() ? 0 : roots_->unknown());
}

bool Torrent::may_ask(const Peer& peer, PieceIndex piece) const {
  if (!peer.bits.test(piece)) return false;
  if (peer.peer_choking && !peer.allowed_fast.contains(piece)) return false;
  const PieceState state = picker_.state(piece);
  return state == PieceState::in_flight || (state == PieceState::absent && verifiable(piece));
}

PartialPiece* Torrent::partial(PieceIndex piece) {
  const auto it = partials_.find(piece);
  return it == partials_.end() ? nullptr : &it->second;
}

bool Torrent::room_for_new_piece() const {
  const std::uint64_t each = layout_.piece_length();
  const auto most = std::max<std::uint64_t>(2, config_.partial_bytes / each);
  return partials_.size() < most;
}

/// What nobody waits for and nobody was asked for gives way, the least complete piece first:
/// reads of single blocks would otherwise fill the memory with pieces that never finish.
bool Torrent::make_room() {
  if (room_for_new_piece()) return true;
  const auto idle = [this](const auto& entry) {
    const auto& [piece, p] = entry;
    if (picker_.state(piece) != PieceState::in_flight || reads_by_piece_.contains(piece))
      return false;
    for (const auto& [handle, window] : windows_)
      if (window.covers(piece)) return false;
    return std::all_of(p.slots.begin(), p.slots.end(),
                       [](const BlockSlot& slot) { return slot.asked.empty(); });
  };
  auto least = partials_.end();
  for (auto it = partials_.begin(); it != partials_.end(); ++it)
    if (idle(*it) && (least == partials_.end() || it->second.here < least->second.here)) least = it;
  if (least == partials_.end()) return false;
  const PieceIndex piece = least->first;
  partials_.erase(least);
  leaves_.erase(piece);
  host_.forget_piece(piece);
  picker_.set_state(piece, PieceState::absent);
  return true;
}

PartialPiece* Torrent::begin_piece(PieceIndex piece) {
  make_room();
  picker_.set_state(piece, PieceState::in_flight);
  PartialPiece& p = partials_.emplace(piece, PartialPiece(layout_, piece)).first->second;
  p.on_probation = suspects_.contains(piece);
  if (!windows_.empty()) want_hashes_ = true;
  return &p;
}

std::optional<wire::BlockRef> Torrent::free_block(PieceIndex piece, Peer& peer, std::uint32_t first,
                                                  std::uint32_t end) {
  PartialPiece* p = partial(piece);
  if (p == nullptr) p = begin_piece(piece);
  if (p->on_probation && p->sole != PeerId{} && p->sole != peer.id) return std::nullopt;
  if (p->free == 0) return std::nullopt;
  for (std::uint32_t b = first; b < std::min<std::uint32_t>(end, p->slots.size()); ++b)
    if (p->slots[b].state == BlockSlot::State::free)
      return wire::BlockRef{piece, b * kBlockSize, layout_.block_size(piece, b)};
  return std::nullopt;
}

std::optional<wire::BlockRef> Torrent::next_unhurried(Peer& peer, double capacity, TimePoint now) {
  if (auto block = next_in_windows(peer, Windows::any, capacity, now)) return block;
  if (auto block = next_wanted(prefetch_, peer)) return block;
  if (auto block = next_wanted(pinned_missing_, peer)) return block;
  if (auto block = next_backfill(peer)) return block;
  return next_in_end_game(peer, now);
}

std::optional<wire::BlockRef> Torrent::next_backfill(Peer& peer) {
  if (config_.on_demand || !room_ || disk_full_) return std::nullopt;
  const auto take = [&](PieceIndex piece) {
    return free_block(piece, peer, 0, layout_.block_count(piece));
  };
  // A piece fetched from one peer alone names its sender if it turns out bad.
  for (auto& [piece, p] : partials_)
    if (p.sole == peer.id && p.free > 0 && may_ask(peer, piece))
      if (auto block = take(piece)) return block;
  if (room_for_new_piece() && anything_to_begin()) {
    const auto absent = [&](PieceIndex piece) {
      return picker_.state(piece) == PieceState::absent && may_ask(peer, piece);
    };
    const auto begin = [&](PieceIndex piece) {
      begin_piece(piece)->sole = peer.id;
      return take(piece);
    };
    for (const PieceIndex piece : config_.first)
      if (absent(piece)) return begin(piece);
    while (!peer.suggested.empty()) {
      const PieceIndex piece = peer.suggested.front();
      peer.suggested.pop_front();
      if (absent(piece)) return begin(piece);
    }
    if (const auto piece = picker_.pick_rarest(absent, rng_)) return begin(*piece);
  }
  for (auto& [piece, p] : partials_)
    if (p.free > 0 && may_ask(peer, piece))
      if (auto block = take(piece)) return block;
  return std::nullopt;
}

void Torrent::ask(Peer& peer, const wire::BlockRef& block, TimePoint now) {
  PartialPiece* p = partial(block.piece);
  if (p->on_probation && p->sole == PeerId{}) p->sole = peer.id;
  if (!p->on_probation && p->sole != peer.id) p->sole = PeerId{};  // shared from now on
  p->ask(block.begin / kBlockSize, peer.id);
  peer.outstanding.push_back({block, now, now + next_block_in(peer)});
  ++asked_blocks_;
  down_gate_.take(block.length, now);
  wire::append_block_ref(to(peer), wire::MessageId::request, block);
  trace_asked(peer, block.piece, now);
  wake_at(now + limits::kBlockTimeout);
}

/// What was asked for may not come: the limit has counted it too early.
void Torrent::not_coming(const wire::BlockRef& block, TimePoint now) {
  down_gate_.give_back(block.length, now);
}

void Torrent::on_block(Peer& peer, const wire::Piece& message, TimePoint now) {
  const wire::BlockRef block{message.piece, message.begin,
                             static_cast<std::uint32_t>(message.data.size())};
  if (block.length == 0) return;  // some clients reject with an empty piece message
  if (!valid(block) || !(whole(block) || half(block)))
    return drop(peer, "sent a block that was not asked for", CloseReason::misbehaved, now);

  downloaded_ += block.length;
  peer.downloaded += block.length;
  peer.down.add(block.length, now);
  down_.add(block.length, now);
  peer.last_block = peer.last_transfer = now;
  const auto asked = std::find_if(peer.outstanding.begin(), peer.outstanding.end(),
                                  [&](const Outstanding& o) { return o.block == block; });
  if (asked != peer.outstanding.end()) {
    if (peer.pace.wants_path_rtt(now)) peer.pace.path_rtt_is(host_.path_rtt(peer.id), now);
    peer.pace.on_block(block.length, asked->sent, now, peer.outstanding.size());
    peer.outstanding.erase(asked);
    peer.snubbed = false;
    peer.lateness = {};
  } else {
    down_gate_.take(block.length, now);
    if (peer.may_cross > 0) {
      --peer.may_cross;
    } else if (++peer.unasked > limits::kMaxUnasked) {
      return drop(peer, "floods us with blocks nobody asked for", CloseReason::misbehaved, now);
    }
  }

  was_taken_back(peer, block);
  if (!whole(block)) return on_half(peer, message, now);
  const std::uint32_t index = block.begin / kBlockSize;
  PartialPiece* p = partial(block.piece);
  // On probation a piece must come from one peer alone, or its failure convicts nobody.
  if (p == nullptr || picker_.state(block.piece) != PieceState::in_flight ||
      p->slots[index].here() || (p->on_probation && p->sole != peer.id)) {
    wasted_ += block.length;
    duplicates_ += block.length;
    if (p != nullptr) p->unask(index, peer.id);
    return;
  }
  auto data = std::make_shared_for_overwrite<Block>();
  data->size = block.length;
  std::copy(message.data.begin(), message.data.end(), data->data.begin());
  std::erase(p->slots[index].asked, peer.id);
  p->receive(index, peer.id, address_of(peer), std::move(data));
  forget_halves(*p, index);
  on_whole_block(peer, *p, index, now);
}

/// A block is here that was not.
void Torrent::on_whole_block(const Peer& last, PartialPiece& p, std::uint32_t index,
                             TimePoint now) {
  cancel_copies(p, index, now);
  trace_arrival(last, p, now);
  if (!check_block(p, index, now)) return;
  note_progress(p.piece, now);
  if (p.complete()) finish_piece(p, now);
}

void Torrent::cancel_copies(PartialPiece& p, std::uint32_t index, TimePoint now) {
  for (const PeerId id : std::exchange(p.slots[index].asked, {})) {
    Peer* other = find(id);
    if (other == nullptr) continue;
    for (const Outstanding& o : other->outstanding) {
      if (!o.of(p.piece, index) || now <= o.due || other->last_block > o.sent) continue;
      // With an empty queue a silent peer would look quick, and be the first to be asked again.
      other->lateness = std::max(other->lateness, now - o.due);
      other->late_at = now;
    }
    cancel_request(*other, p.piece, index, now);
  }
}

/// Takes back what a peer was asked of a block, all of it or a half.
void Torrent::cancel_request(Peer& peer, PieceIndex piece, std::uint32_t index, TimePoint now) {
  std::erase_if(peer.outstanding, [&](const Outstanding& o) {
    if (!o.of(piece, index)) return false;
    not_coming(o.block, now);
    send_cancel(peer, o.block);
    return true;
  });
}

void Torrent::send_cancel(Peer& peer, const wire::BlockRef& block) {
  ++peer.may_cross;
  if (peer.fast && peer.taken_back.size() < limits::kMaxDepth) peer.taken_back.push_back(block);
  wire::append_block_ref(to(peer), wire::MessageId::cancel, block);
}

/// Whether what came answers a request that was cancelled: a block crossed the cancel, or a reject
/// confirms it. Either may meet a new request for the same block.
bool Torrent::was_taken_back(Peer& peer, const wire::BlockRef& block) {
  const auto it = std::find(peer.taken_back.begin(), peer.taken_back.end(), block);
  if (it == peer.taken_back.end()) return false;
  peer.taken_back.erase(it);
  return true;
}

void Torrent::release(Peer& peer, const wire::BlockRef& block, TimePoint now) {
  PartialPiece* p = partial(block.piece);
  if (p == nullptr) return;
  const std::uint32_t index = block.begin / kBlockSize;
  const bool free = p->unask(index, peer.id);
  if (give_up_halves(*p, index, peer.id, now) || free) rewind_windows();
  if (p->sole != peer.id) return;
  p->sole = PeerId{};
  if (!p->on_probation || picker_.state(block.piece) != PieceState::in_flight) return;
  for (std::uint32_t b = 0; b < p->slots.size(); ++b)
    if (p->slots[b].state == BlockSlot::State::received) p->discard(b);
}

void Torrent::release_all(Peer& peer, TimePoint now) {
  for (const Outstanding& o : std::exchange(peer.outstanding, {})) {
    not_coming(o.block, now);
    release(peer, o.block, now);
  }
  // A piece that it alone began is anyone's again.
  if (peer.closing)
    for (auto& [piece, p] : partials_)
      if (p.sole == peer.id) release(peer, wire::BlockRef{piece, 0, kBlockSize}, now);
}

void Torrent::release_piece(Peer& peer, PieceIndex piece, TimePoint now) {
  std::erase_if(peer.outstanding, [&](const Outstanding& o) {
    if (o.block.piece != piece) return false;
    not_coming(o.block, now);
    release(peer, o.block, now);
    return true;
  });
  // Begun by it alone, it is anyone's, even if nothing of it was on its way.
  if (PartialPiece* p = partial(piece); p != nullptr && p->sole == peer.id)
    release(peer, wire::BlockRef{piece, 0, kBlockSize}, now);
}

void Torrent::on_reject(Peer& peer, const wire::BlockRef& block, TimePoint now) {
  const bool taken_back = was_taken_back(peer, block);
  const auto it = std::find_if(peer.outstanding.begin(), peer.outstanding.end(),
                               [&](const Outstanding& o) { return o.block == block; });
  if (taken_back || it == peer.outstanding.end()) {
    peer.may_cross -= std::min(peer.may_cross, 1U);
    return;
  }
  peer.outstanding.erase(it);
  not_coming(block, now);
  release(peer, block, now);
  // Unchoked and still refused: it does not have the piece, whatever it said.
  peer.allowed_fast.erase(block.piece);
  if (!patient(peer, now))
    return drop(peer, "keeps rejecting what it offers", CloseReason::misbehaved, now);
  if (!peer.peer_choking) disbelieve(peer, block.piece);
  update_interest(peer);
  refill_ = true;
}

}  // namespace swarmfs::engine
