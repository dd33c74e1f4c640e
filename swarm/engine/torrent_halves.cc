// Torrent: a block that a reader waits for, asked in halves of two idle peers.
//
// A block with its header is 16,397 bytes, a little more than the ten segments that a cold TCP
// window lets out at once, and a paced flow (BBR) that has been idle takes 15 ms for it. Half of it
// from each of two peers is here a round trip after it was asked for. Only where the leaf hash can
// tell right from wrong (BEP 52), and only for a block that is all a reader waits for: of several
// blocks each peer gets a whole one.
#include <algorithm>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

bool Torrent::whole(const wire::BlockRef& block) const {
  return block.begin % kBlockSize == 0 &&
         block.length == layout_.block_size(block.piece, block.begin / kBlockSize);
}

bool Torrent::half(const wire::BlockRef& block) const {
  return block.begin % kHalfBlock == 0 && block.length == kHalfBlock &&
         layout_.block_size(block.piece, block.begin / kBlockSize) == kBlockSize;
}

bool Torrent::one_block_is_read(PieceIndex piece, std::uint32_t block) const {
  const auto waiting = reads_by_piece_.find(piece);
  if (waiting == reads_by_piece_.end()) return false;
  return std::any_of(waiting->second.begin(), waiting->second.end(), [&](ReadId id) {
    const std::vector<Layout::Span>& spans = reads_.at(id).spans;
    const Layout::Span& span = spans.front();
    return spans.size() == 1 && span.first_block() == block && span.end_block() == block + 1;
  });
}

/// An idle peer that brings half of a block no later than `peer`, which is idle itself, brings the
/// other; null if the block is better asked as a whole.
Torrent::Peer* Torrent::other_half_from(const Peer& peer, const wire::BlockRef& block) {
  const std::uint32_t index = block.begin / kBlockSize;
  const PartialPiece& p = *partial(block.piece);
  if (!peer.outstanding.empty() || block.length != kBlockSize || p.on_probation ||
      p.slots[index].state != BlockSlot::State::free || p.halved.contains(index) ||
      !verifies_alone({block.piece, block.begin, block.length}) ||
      !one_block_is_read(block.piece, index))
    return nullptr;
  const Duration limit = next_block_in(peer) * 3 / 2;
  Peer* best = nullptr;
  for (auto& [id, other] : peers_) {
    if (id == peer.id || other->closing || !other->ready || !other->am_interested ||
        other->snubbed || !other->outstanding.empty() || !may_ask(*other, block.piece))
      continue;
    if (next_block_in(*other) > (best == nullptr ? limit : next_block_in(*best))) continue;
    best = other.get();
  }
  return best;
}

void Torrent::ask_needed(Peer& peer, const wire::BlockRef& block, TimePoint now) {
  say_reading(peer, block.piece);
  Peer* other = other_half_from(peer, block);
  if (other == nullptr) return ask(peer, block, now);
  HalvedBlock& halved = partial(block.piece)->halved[block.begin / kBlockSize];
  halved.halves = {{{peer.id, address_of(peer)}, {other->id, address_of(*other)}}};
  halved.data = std::make_shared_for_overwrite<Block>();
  halved.data->size = kBlockSize;
  say_reading(*other, block.piece);
  ask(peer, {block.piece, block.begin, kHalfBlock}, now);
  ask(*other, {block.piece, block.begin + kHalfBlock, kHalfBlock}, now);
}

void Torrent::on_half(Peer& peer, const wire::Piece& message, TimePoint now) {
  const std::uint32_t index = message.begin / kBlockSize;
  const std::uint32_t which = message.begin % kBlockSize / kHalfBlock;
  PartialPiece* p = partial(message.piece);
  const auto it = p == nullptr ? decltype(p->halved)::iterator{} : p->halved.find(index);
  if (p == nullptr || it == p->halved.end() || it->second.spoiled ||
      it->second.halves[which].peer != peer.id || it->second.halves[which].here) {
    wasted_ += message.data.size();
    return;
  }
  HalvedBlock& halved = it->second;
  std::copy(message.data.begin(), message.data.end(),
            halved.data->data.begin() + which * kHalfBlock);
  halved.halves[which].here = true;
  std::erase(p->slots[index].asked, peer.id);
  note_progress(message.piece, now);
  if (!halved.halves[1 - which].here) return;
  p->receive(index, PeerId{}, {}, std::exchange(halved.data, nullptr));
  on_whole_block(peer, *p, index, now);
}

/// The block came whole: what its halves have brought was in vain.
void Torrent::forget_halves(PartialPiece& p, std::uint32_t index) {
  const auto it = p.halved.find(index);
  if (it == p.halved.end() || it->second.spoiled) return;
  for (const auto& half : it->second.halves) wasted_ += half.here ? kHalfBlock : 0;
  p.halved.erase(it);
}

/// One of two peers will not bring its half: the block is to be asked as a whole. True if that
/// makes it free.
bool Torrent::give_up_halves(PartialPiece& p, std::uint32_t index, PeerId by, TimePoint now) {
  const auto it = p.halved.find(index);
  if (it == p.halved.end() || it->second.spoiled || it->second.data == nullptr) return false;
  const auto& halves = it->second.halves;
  const bool holds = std::any_of(halves.begin(), halves.end(),
                                 [&](const auto& half) { return half.peer == by && !half.here; });
  if (!holds) return false;  // it was a whole copy that the peer gave up
  bool free = false;
  for (const auto& half : halves) {
    if (half.peer == by || half.here || !p.asked_of(index, half.peer)) continue;
    free = p.unask(index, half.peer);
    if (Peer* other = find(half.peer)) cancel_request(*other, p.piece, index, now);
  }
  forget_halves(p, index);
  return free;
}

/// What the halves made does not match: the right bytes will show who lied.
void Torrent::spoil_halves(PartialPiece& p, std::uint32_t index) {
  const auto it = p.halved.find(index);
  if (it == p.halved.end() || it->second.spoiled) return;
  const ByteView data = p.slots[index].data->view();
  for (std::uint32_t which = 0; which < 2; ++which)
    it->second.halves[which].digest = sha1(data.subspan(which * kHalfBlock, kHalfBlock));
  it->second.spoiled = true;
}

void Torrent::judge_halves(PartialPiece& p, std::uint32_t index, TimePoint now) {
  const auto node = p.halved.extract(index);
  if (node.empty() || !node.mapped().spoiled) return;
  const ByteView data = p.slots[index].data->view();
  for (std::uint32_t which = 0; which < 2; ++which) {
    const HalvedBlock::Half& half = node.mapped().halves[which];
    if (sha1(data.subspan(which * kHalfBlock, kHalfBlock)) == half.digest) continue;
    if (Peer* liar = find(half.peer)) {
      ban(*liar, "sent half a bad block", now);
    } else {
      ban_address(half.address, now);
    }
  }
}

}  // namespace swarmfs::engine
