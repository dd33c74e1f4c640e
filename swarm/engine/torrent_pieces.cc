// Torrent: whole pieces: checked, kept, refused by the disk, lost, and who is to blame for bad
// ones.
#include <algorithm>
#include <set>
#include <utility>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

static std::vector<BlockPtr> blocks_of(const PartialPiece& p) {
  std::vector<BlockPtr> blocks;
  blocks.reserve(p.slots.size());
  for (const BlockSlot& slot : p.slots) blocks.push_back(slot.data);
  return blocks;
}

void Torrent::finish_piece(PartialPiece& p, TimePoint now) {
  picker_.set_state(p.piece, PieceState::verifying);
  const bool proven = metainfo_->format == metainfo::Format::v2 &&
                      std::all_of(p.slots.begin(), p.slots.end(), [](const BlockSlot& slot) {
                        return slot.state == BlockSlot::State::verified;
                      });
  if (proven) return piece_done(p.piece, now);
  host_.hash_piece(p.piece, blocks_of(p));
}

void Torrent::on_piece_hashed(PieceIndex piece, metainfo::PieceCheck check, TimePoint now) {
  if (picker_.state(piece) != PieceState::verifying) return;
  switch (check) {
    case metainfo::PieceCheck::good:
      piece_done(piece, now);
      break;
    case metainfo::PieceCheck::bad:
      piece_failed(piece, now);
      break;
    case metainfo::PieceCheck::contradiction:
      contradict("the v1 and the v2 hash of piece " + std::to_string(piece.value) + " disagree",
                 now);
      break;
  }
  refill_ = true;
  flush(now);
}

void Torrent::piece_done(PieceIndex piece, TimePoint now) {
  auto node = partials_.extract(piece);
  convict(piece, node.mapped(), now);
  keep_leaves(piece);
  picker_.set_state(piece, PieceState::have);
  pinned_missing_.remove(piece);
  prefetch_.remove(piece);
  host_.keep_piece(piece, blocks_of(node.mapped()));
  answer_reads(piece);
  const bool all = complete();
  for (auto& [id, peer] : peers_) {
    if (peer->closing || !peer->ready) continue;
    wire::append_indexed(to(*peer), wire::MessageId::have, piece);
    if (peer->am_interested && (all || peer->bits.test(piece))) update_interest(*peer);
    if (all && peer->counted_seed) drop(*peer, "both complete", CloseReason::useless, now);
  }
  if (all) {
    book_.set_complete(true, now);
    host_.log(1, "complete");
  }
}

void Torrent::piece_failed(PieceIndex piece, TimePoint now) {
  ++failed_pieces_;
  wasted_ += layout_.piece_size(piece);
  auto node = partials_.extract(piece);
  const PartialPiece& p = node.mapped();
  leaves_.erase(piece);
  host_.forget_piece(piece);
  std::set<PeerId> senders;
  for (const BlockSlot& slot : p.slots) senders.insert(slot.from);
  picker_.set_state(piece, PieceState::absent);
  rewind_windows();
  host_.log(2, "piece " + std::to_string(piece.value) + " failed its hash");
  if (senders.size() == 1) {
    if (Peer* liar = find(*senders.begin())) {
      ban(*liar, "sent a bad piece", now);
    } else {
      if (*senders.begin() != PeerId{}) ban_address(p.slots.front().address, now);
    }
    return;
  }
  // Several senders: remember what each sent. The piece is fetched again from one peer alone,
  // which either convicts that peer or yields the right bytes to compare with.
  auto& suspects = suspects_[piece];
  for (std::uint32_t b = 0; b < p.slots.size(); ++b) {
    const BlockSlot& slot = p.slots[b];
    if (slot.from == PeerId{}) continue;  // it came in halves
    suspects.push_back({slot.from, slot.address, b, sha1(slot.data->view())});
  }
}

void Torrent::convict(PieceIndex piece, const PartialPiece& good, TimePoint now) {
  const auto it = suspects_.find(piece);
  if (it == suspects_.end()) return;
  const std::vector<Suspect> suspects = std::move(it->second);
  suspects_.erase(it);
  for (const Suspect& s : suspects) {
    if (sha1(good.slots[s.block].data->view()) == s.digest) continue;
    if (Peer* liar = find(s.peer)) {
      ban(*liar, "sent a bad block", now);
    } else {
      ban_address(s.address, now);
    }
  }
}

void Torrent::on_piece_stored(PieceIndex piece, const Result<>& stored, TimePoint now) {
  if (stored) {
    disk_full_ = false;
    std::erase(volatile_, piece);  // it was there from an earlier try
    return;
  }
  if (!disk_full_) host_.log(2, stored.error().message);
  disk_full_ = true;
  disk_failed_at_ = now;
  // It stays readable from memory until newer ones need the room, then counts as absent.
  volatile_.push_back(piece);
  const auto most = std::max<std::uint64_t>(2, config_.volatile_bytes / layout_.piece_length());
  while (volatile_.size() > most) {
    const PieceIndex oldest = volatile_.front();
    volatile_.pop_front();
    lose(oldest, now);
  }
  refill_ = true;
  flush(now);
}

void Torrent::lose(PieceIndex piece, TimePoint now) {
  if (picker_.state(piece) != PieceState::have) return;
  const bool was_complete = complete();
  picker_.set_state(piece, PieceState::absent);
  if (pinned_.test(piece)) pinned_missing_.add(piece);
  leaf_cache_.erase(piece);
  book_.set_complete(false, now);
  host_.forget_piece(piece);
  for (auto& [id, peer] : peers_) {
    if (peer->closing) continue;
    withdraw(*peer, piece);
    peer->told_reading.forget(piece);
    if (was_complete && peer->extended) extend(*peer);  // no longer one that only uploads
    update_interest(*peer);
  }
}

void Torrent::on_piece_lost(PieceIndex piece, TimePoint now) {
  lose(piece, now);
  dial_more(now);
  refill_ = true;
  flush(now);
}

void Torrent::set_room_for_backfill(bool room, TimePoint now) {
  // A disk that failed is tried again after a while: someone may have made room, or mended it.
  const bool rested = disk_full_ && room && now - disk_failed_at_ >= limits::kDiskRest;
  if (rested) disk_full_ = false;
  if ((std::exchange(room_, room) == room && !rested) || !room) return;
  refill_ = true;
  flush(now);
}

}  // namespace swarmfs::engine
