// Torrent: what others get from us.
#include <algorithm>
#include <limits>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/extension.h"

namespace swarmfs::engine {

void Torrent::on_interest(Peer& peer, bool interested, TimePoint now) {
  if (std::exchange(peer.peer_interested, interested) == interested) return;
  if (!interested) {
    choke(peer);  // an idle unchoke would hold its slot until the next round
    return;
  }
  // At once, while a slot is free: waiting for the next round is what makes others slow to start.
  // Who cannot make up its mind does wait.
  if (!peer.am_choking || !patient(peer, now)) return;
  if (choker_.unchoke_now(choke_view(now), peer.id)) unchoke(peer, now);
}

/// A slot fell free: whoever waits longest gets it now, not at the next round.
void Torrent::offer_slots(TimePoint now) {
  for (auto& [id, peer] : peers_) {
    if (peer->closing || !peer->ready || !peer->peer_interested || !peer->am_choking) continue;
    if (choker_.unchoke_now(choke_view(now), id)) unchoke(*peer, now);
  }
}

void Torrent::unchoke(Peer& peer, TimePoint now) {
  if (!peer.am_choking) return;
  peer.am_choking = false;
  peer.unchoked_at = now;
  peer.sent_since_unchoke = 0;
  wire::append_plain(to(peer), wire::MessageId::unchoke);
  suggest(peer);
}

void Torrent::choke(Peer& peer) {
  if (peer.am_choking) return;
  peer.am_choking = true;
  slot_freed_ = true;
  wire::append_plain(to(peer), wire::MessageId::choke);
  peer.out_behind_blocks = true;  // those on their way still come
  // BEP 6: the choke first, then a reject for every request it kills.
  for (const wire::BlockRef& block : std::exchange(peer.upload_queue, {})) reject(peer, block);
}

void Torrent::reject(Peer& peer, const wire::BlockRef& block) {
  if (!peer.fast) return;
  wire::append_block_ref(to(peer), wire::MessageId::reject, block);
  // It may have been asked for twice, and the first answer is the one to the first request.
  peer.out_behind_blocks = true;
}

/// A piece is no longer here: who waits for some of it is told so, and nobody shall ask for it.
void Torrent::withdraw(Peer& peer, PieceIndex piece) {
  std::erase_if(peer.upload_queue, [&](const wire::BlockRef& block) {
    if (block.piece != piece) return false;
    reject(peer, block);
    return true;
  });
  if (peer.dont_have_id != 0)  // BEP 54
    wire::append_extended(to(peer), peer.dont_have_id, wire::encode_piece(piece));
}

bool Torrent::valid(const wire::BlockRef& block) const {
  if (block.piece.value >= layout_.piece_count() || block.length == 0) return false;
  const std::uint32_t size = layout_.piece_size(block.piece);
  return block.begin < size && block.length <= size - block.begin;
}

/// As valid(), but in a v2 torrent a block may run past its file's end: libtorrent asks for whole
/// blocks there, and takes zeros for what does not exist.
bool Torrent::servable(const wire::BlockRef& block) const {
  if (valid(block)) return true;
  return layout_.addressing() == PieceAddressing::per_file && block.length <= kBlockSize &&
         valid({block.piece, block.begin, 1});
}

void Torrent::on_request(Peer& peer, const wire::BlockRef& block, TimePoint now) {
  if (!servable(block) || block.length > limits::kMaxServedBlock)
    return drop(peer, "asked for a block that does not exist", CloseReason::misbehaved, now);
  if (peer.am_choking || !have().test(block.piece) ||
      peer.upload_queue.size() >= limits::kMaxQueuedRequests)
    return reject(peer, block);
  peer.upload_queue.push_back(block);
}

void Torrent::on_cancel(Peer& peer, const wire::BlockRef& block) {
  const auto it = std::find(peer.upload_queue.begin(), peer.upload_queue.end(), block);
  if (it == peer.upload_queue.end()) return;
  peer.upload_queue.erase(it);
  reject(peer, block);
}

/// A reader over there waits for blocks of a piece (our own extension): they go before what it only
/// wants to have, and are not left for others to bring.
void Torrent::on_reading(Peer& peer, ByteView payload, TimePoint now) {
  const auto piece = wire::parse_piece(payload);
  if (!piece || piece->value >= layout_.piece_count())
    return drop(peer, "reads a piece that does not exist", CloseReason::misbehaved, now);
  if (have().test(*piece)) peer.reading.note(*piece);
}

/// Before a block is asked for that somebody waits for.
void Torrent::say_reading(Peer& peer, PieceIndex piece) {
  if (peer.reading_id == 0 || !peer.told_reading.note(piece)) return;
  wire::append_extended(to(peer), peer.reading_id, wire::encode_piece(piece));
}

/// True while the first copy of a piece is under way to another peer, or has just got there: the
/// seed's uplink is better spent on what nobody has, and this one can soon be had from that peer.
/// Nobody loses by it, since two copies at once would each take twice as long; but who says so,
/// or asked for the leaf hashes, is waiting for single blocks, and is served.
bool Torrent::first_copy_elsewhere(const Peer& peer, PieceIndex piece, TimePoint now) const {
  const auto it = first_copies_.find(piece);
  return it != first_copies_.end() && it->second.to != peer.id &&
         now - it->second.progress < limits::kFirstCopyPatience &&
         now - it->second.begun < limits::kFirstCopyLongest && !peer.reading.contains(piece);
}

/// What a seed sends next: blocks that a reader waits for over there, as far as can be told; the
/// piece it has begun for this peer; and then the one it has sent least of, so that it hands out
/// each piece once before any twice. But the oldest request is overtaken only so often: who waits
/// for one piece that others have had would wait for the whole torrent. The queue's end if all is
/// to wait.
std::deque<wire::BlockRef>::iterator Torrent::next_upload(Peer& peer, TimePoint now) {
  auto& queue = peer.upload_queue;
  const auto read = std::find_if(queue.begin(), queue.end(), [&](const wire::BlockRef& block) {
    return peer.reading.contains(block.piece);
  });
  if (read != queue.end()) return read;
  if (!complete()) return queue.begin();
  const auto begun = std::find_if(queue.begin(), queue.end(), [&](const wire::BlockRef& block) {
    return block.piece == peer.sending_piece;
  });
  if (begun != queue.end()) return begun;
  if (peer.overtaken >= limits::kMostOvertaken) {
    peer.sending_piece = queue.front().piece;
    return queue.begin();
  }
  auto least = queue.end();
  for (auto it = queue.begin(); it != queue.end(); ++it) {
    if (least != queue.end() &&
        sent_per_piece_[it->piece.value] >= sent_per_piece_[least->piece.value])
      continue;
    if (!first_copy_elsewhere(peer, it->piece, now)) least = it;
  }
  if (least == queue.end()) {
    wake_at(now + limits::kFirstCopyPatience);
    return least;
  }
  peer.sending_piece = least->piece;
  if (sent_per_piece_[least->piece.value] == 0) first_copies_[least->piece] = {peer.id, now, now};
  return least;
}

/// Whether the host takes another block for the peer, and there is one.
bool Torrent::may_send(const Peer& peer, TimePoint now) const {
  const auto ahead = static_cast<std::uint32_t>(
      std::max<double>(limits::kSendAhead, std::min(peer.up.bps(now) * 0.05, 4e6)));
  return peer.sending < ahead && !peer.upload_queue.empty();
}

/// Hands the host one block for the peer; false if it is to get none now.
bool Torrent::send_next(Peer& peer, TimePoint now) {
  if (!may_send(peer, now)) return false;
  const auto chosen = next_upload(peer, now);
  if (chosen == peer.upload_queue.end()) return false;
  const wire::BlockRef block = *chosen;
  peer.overtaken = chosen == peer.upload_queue.begin() ? 0 : peer.overtaken + 1;
  peer.upload_queue.erase(chosen);
  peer.sending += std::max(block.length, limits::kMinSendCost);
  ++sent_per_piece_[block.piece.value];
  up_gate_.take(block.length, now);
  hand_over(peer);  // messages decided before this block go out before it
  host_.send_block(peer.id, block);
  return true;
}

void Torrent::send_blocks(Peer& peer, TimePoint now) {
  if (!up_gate_.limited()) {
    while (send_next(peer, now)) continue;
    return;
  }
  const bool waits =
      std::find(send_turns_.begin(), send_turns_.end(), peer.id) != send_turns_.end();
  if (!waits && may_send(peer, now)) send_turns_.push_back(peer.id);
  send_in_turn(now);
}

/// Under a limit a block each: whoever asks first would get all there is otherwise.
void Torrent::send_in_turn(TimePoint now) {
  while (!send_turns_.empty()) {
    if (!up_gate_.open(false, now)) return wake_at(up_gate_.next(now));
    const PeerId id = send_turns_.front();
    send_turns_.pop_front();
    Peer* const peer = find(id);
    if (peer != nullptr && send_next(*peer, now) && may_send(*peer, now)) send_turns_.push_back(id);
  }
}

void Torrent::on_block_sent(PeerId id, const wire::BlockRef& block, bool ok, TimePoint now) {
  Peer* peer = find(id);
  if (peer == nullptr) return;
  peer->sending -= std::min(peer->sending, std::max(block.length, limits::kMinSendCost));
  if (ok) {
    peer->last_sent = peer->last_transfer = now;
    peer->uploaded += block.length;
    peer->sent_since_unchoke += block.length;
    peer->up.add(block.length, now);
    uploaded_ += block.length;
    up_.add(block.length, now);
    if (const auto copy = first_copies_.find(block.piece);
        copy != first_copies_.end() && copy->second.to == id)
      copy->second.progress = now;
    if (peer->sent_blocks.size() > limits::kMaxSentPieces) peer->sent_blocks.clear();
    // A piece ahead: it has asked for the rest of this one by now and will choose the next.
    std::uint32_t& blocks = peer->sent_blocks[block.piece];
    if (++blocks == 1) suggest(*peer);
    if (blocks >= layout_.block_count(block.piece)) {
      peer->sent_blocks.erase(block.piece);
      peer->reading.forget(block.piece);
    }
  } else {
    up_gate_.give_back(block.length, now);
    reject(*peer, block);
  }
  send_blocks(*peer, now);
  flush(now);
}

/// BEP 6: a seed names the piece it has handed out least, so that newcomers who would all pick
/// alike ask for different ones.
void Torrent::suggest(Peer& peer) {
  if (!complete() || !peer.fast || peer.am_choking || peer.counted_seed) return;
  const std::uint32_t pieces = layout_.piece_count();
  constexpr std::uint32_t kLookedAt = 4096;
  const std::uint32_t looks = std::min(pieces, kLookedAt);
  const auto start = static_cast<std::uint32_t>(rng_() % pieces);
  std::optional<PieceIndex> best;
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  for (std::uint32_t k = 0; k < looks; ++k) {
    const PieceIndex piece((start + k) % pieces);
    if (peer.bits.test(piece)) continue;
    const std::uint64_t weight = suggested_per_piece_[piece.value] + picker_.availability(piece);
    if (weight < least) {
      least = weight;
      best = piece;
    }
  }
  if (!best) return;
  ++suggested_per_piece_[best->value];
  wire::append_indexed(to(peer), wire::MessageId::suggest, *best);
}

std::vector<ChokePeer> Torrent::choke_view(TimePoint now) const {
  std::vector<ChokePeer> view;
  view.reserve(peers_.size());
  for (const auto& [id, peer] : peers_) {
    if (!peer->ready || peer->closing) continue;
    ChokePeer p{};
    p.id = id;
    p.interested = peer->peer_interested;
    p.unchoked = !peer->am_choking;
    p.snubbed = peer->snubbed && !complete();
    p.newcomer = peer->bits.count() == 0;
    p.upload_only = peer->counted_seed || peer->upload_only;
    p.down_bps = peer->down.bps(now);
    p.up_bps = peer->up.bps(now);
    p.sent_since_unchoke = peer->sent_since_unchoke;
    p.connected_at = peer->connected_at;
    p.unchoked_at = peer->unchoked_at;
    view.push_back(p);
  }
  return view;
}

}  // namespace swarmfs::engine
