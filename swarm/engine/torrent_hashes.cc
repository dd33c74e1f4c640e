// Torrent: leaf hashes asked for and served, so that a v2 block is verified on its own (BEP 52).
#include <algorithm>
#include <utility>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/metainfo/merkle.h"

namespace swarmfs::engine {

namespace merkle = metainfo::merkle;

namespace {

/// Where a piece stands in its file's hash tree.
struct PieceNode {
  FileIndex file;
  std::uint32_t index = 0;       ///< of the piece in its file
  unsigned height = 0;           ///< of the tree over this piece alone
  std::uint32_t first_leaf = 0;  ///< of the piece, counted in the file
};

PieceNode node_of(const Layout& layout, PieceIndex piece) {
  const FileIndex file = layout.slices(piece, 0, 1).front().file;
  const std::uint32_t index = piece.value - layout.pieces_of(file).first.value;
  return {file, index,
          merkle::piece_height(layout.piece_length(), layout.files()[file.value].length),
          index * (layout.piece_length() / kBlockSize)};
}

}  // namespace

merkle::HashRun Torrent::run_of(const wire::HashRef& ref) {
  return {ref.base_layer, ref.index, ref.length, ref.proof_layers};
}

/// Once an event, after whatever may have changed what is missing or who may bring it.
void Torrent::ask_hashes(TimePoint now) {
  if (!std::exchange(want_hashes_, false) || !metainfo_->has_v2()) return;
  want_layers(now);
  want_leaves_of_reads(now);
  want_leaves_of_windows(now);
}

/// A peer rejected a hash request, or let it lie for too long.
void Torrent::give_up_fetch(Peer& peer, wire::HashRef ref, bool refused, TimePoint now) {
  if (std::erase_if(peer.hash_fetches, [&](const HashFetch& f) { return f.ref == ref; }) == 0)
    return;  // not awaited any more
  want_hashes_ = true;
  if (peer.last_block == TimePoint{}) refill_ = true;
  if (!is_layer(ref)) {
    if (refused) {
      peer.no_leaves = true;
    } else {
      peer.leaves_after = now + limits::kLayerRest;
      wake_at(peer.leaves_after);
    }
    return;
  }
  peer.layers_after = now + limits::kLayerRest;
  wake_at(peer.layers_after);
}

/// A reader waits for hashes as it does for a block: whoever takes much longer for them than for a
/// block is late, and another is asked too; after kHashTimeout it is not waited for at all.
Duration Torrent::hash_patience(const Peer& peer) {
  return std::min(limits::kHashTimeout, next_block_in(peer) * 2 + limits::kHashSlack);
}

void Torrent::check_hash_fetches(Peer& peer, TimePoint now) {
  while (!peer.hash_fetches.empty() && now - peer.hash_fetches.front().sent >= limits::kHashTimeout)
    give_up_fetch(peer, peer.hash_fetches.front().ref, false, now);
  const Duration patience = hash_patience(peer);
  for (HashFetch& fetch : peer.hash_fetches) {
    wake_at(fetch.sent + limits::kHashTimeout);
    if (fetch.late) continue;
    if (now - fetch.sent < patience) {
      wake_at(fetch.sent + patience);
    } else {
      fetch.late = want_hashes_ = true;
    }
  }
  if (peer.leaves_after == TimePoint{}) return;
  if (now < peer.leaves_after) return wake_at(peer.leaves_after);
  peer.leaves_after = {};
  want_hashes_ = true;
}

/// Whether a peer that has brought nothing yet owes hashes to a reader. A cold TCP window lets out
/// ten segments at once, which is hashes and half a block; and a seed that must compute the hashes
/// sends what was asked for after them before. So until they are here or late it is asked for
/// nothing that nobody waits for.
bool Torrent::owes_first_hashes(const Peer& peer) const {
  return !reads_.empty() && peer.last_block == TimePoint{} && !peer.hash_fetches.empty() &&
         !peer.hash_fetches.front().late;
}

/// Whether a block that a reader waits for is left for another than a peer that owes the first
/// hashes, for a moment: for one that is ready, or is about to be, since peers that were dialled
/// together greet together.
bool Torrent::leaves_blocks_to_others(const Peer& peer, TimePoint now) {
  const HashFetch& fetch = peer.hash_fetches.front();
  const Duration patience = std::min(limits::kGreetTogether, peer.pace.rtt() / 4);
  const TimePoint end = fetch.sent + patience;
  if (now >= end) return false;
  const bool others = std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& other = *entry.second;
    if (other.id == peer.id || other.closing || other.snubbed ||
        much_sooner(next_block_in(peer), next_block_in(other)))
      return false;
    const TimePoint expected = other.connected_at + other.pace.rtt();
    return (other.ready && other.hash_fetches.empty() && may_ask(other, fetch.piece)) ||
           (expected <= end && now - expected <= patience);
  });
  if (others) wake_at(end);
  return others;
}

bool Torrent::knows_leaves(const Layout::Span& span) const {
  const auto known = leaves_.find(span.piece);
  if (known == leaves_.end()) return false;
  const std::size_t end = std::min<std::size_t>(span.end_block(), known->second.size());
  for (std::size_t b = span.first_block(); b < end; ++b)
    if (!known->second[b]) return false;
  return true;
}

/// Whether a request is under way that brings the leaves of a span, `first_leaf` of its piece on.
/// `in_time`: one that is late does not count.
bool Torrent::leaves_asked(const Layout::Span& span, std::uint32_t first_leaf, bool in_time) const {
  const std::uint32_t first = span.first_block(), last = span.end_block() - 1;
  for (const auto& [id, peer] : peers_)
    for (const HashFetch& f : peer->hash_fetches)
      if (!(in_time && f.late) && f.piece == span.piece && f.ref.base_layer == 0 &&
          f.ref.index <= first_leaf + first && first_leaf + last < f.ref.index + f.ref.length)
        return true;
  return false;
}

/// True if the span's blocks can be verified without the rest of their piece, now or as soon as a
/// request that is under way is answered.
bool Torrent::verifies_alone(const Layout::Span& span) const {
  if (!metainfo_->has_v2() || !roots_->of(span.piece)) return false;
  const PieceNode node = node_of(layout_, span.piece);
  return node.height > 0 && (knows_leaves(span) || leaves_asked(span, node.first_leaf, false));
}

/// Asks one able peer for the leaves of a span's blocks: those alone, with the proof up to their
/// piece, since a few hundred bytes come sooner than all leaves of a piece; but all of it (as far
/// as one message goes) for a reader that goes on from there. A peer with `most` hash requests gets
/// no more.
void Torrent::want_leaves(const Layout::Span& span, std::size_t most, TimePoint now) {
  const PieceIndex piece = span.piece;
  if (span.length == 0 || picker_.state(piece) == PieceState::have || !roots_->of(piece)) return;
  const PieceNode node = node_of(layout_, piece);
  if (node.height == 0) return;  // one block: the piece is its own leaf
  if (knows_leaves(span) || leaves_asked(span, node.first_leaf, true)) return;
  const std::uint32_t first = span.first_block(), last = span.end_block() - 1;
  const std::uint32_t width = 1U << node.height;
  const bool goes_on = std::any_of(windows_.begin(), windows_.end(),
                                   [&](const auto& entry) { return entry.second.covers(piece); });
  std::uint32_t length = goes_on ? std::min(width, limits::kMaxHashRun) : 2;
  while (length < std::min(width, limits::kMaxHashRun) && first / length != last / length)
    length *= 2;
  // A span of more blocks than one message tells of: its first ones now, the others then.
  std::uint32_t start = first / length * length;
  if (const auto known = leaves_.find(piece); known != leaves_.end())
    while (start + length <= last && known->second[start]) start += length;

  const wire::HashRef ref{*metainfo_->files[node.file.value].pieces_root, 0,
                          node.first_leaf + start, length,
                          merkle::proof_layers_to_root(0, node.height)};
  // An answer comes behind what the peer has given to its socket. Who lets others wait is the last
  // to ask.
  const auto expected = [](const Peer& peer) {
    const bool late = std::any_of(peer.hash_fetches.begin(), peer.hash_fetches.end(),
                                  [](const HashFetch& f) { return f.late; });
    return next_block_in(peer) + (late ? limits::kHashTimeout : Duration{});
  };
  Peer* best = nullptr;
  for (auto& [id, peer] : peers_) {
    if (peer->closing || !peer->v2 || peer->no_leaves || peer->leaves_after != TimePoint{} ||
        !peer->bits.test(piece))
      continue;
    const auto asked = std::find_if(peer->hash_fetches.begin(), peer->hash_fetches.end(),
                                    [&](const HashFetch& f) { return f.ref == ref; });
    if (asked != peer->hash_fetches.end() && !asked->late) return;
    if (asked != peer->hash_fetches.end() || peer->hash_fetches.size() >= most) continue;
    if (best == nullptr || expected(*peer) < expected(*best)) best = peer.get();
  }
  if (best == nullptr) return;
  best->hash_fetches.push_back({ref, piece, now});
  best->told_reading.note(piece);  // this says it too
  wire::append_hash_ref(to(*best), wire::MessageId::hash_request, ref);
  wake_at(now + hash_patience(*best));
}

void Torrent::want_leaves_of_reads(TimePoint now) {
  for (const ReadId id : turns_.order())
    for (const Layout::Span& span : reads_.at(id).spans)
      want_leaves(span, limits::kMaxHashFetches, now);
}

/// A reader that gets to a piece before all of it is here reads its blocks as they come, if their
/// leaf hashes have come first. Not worth it where whole pieces come in no time.
void Torrent::want_leaves_of_windows(TimePoint now) {
  if (windows_.empty()) return;
  const double capacity = capacity_bps();
  const Duration each = from_seconds(layout_.piece_length() / capacity);
  if (each < limits::kLongPiece) return;
  for (auto& [handle, window] : windows_) {
    for (PieceIndex piece = window.cursor; piece < window.ahead.end; ++piece) {
      if (slack(window, piece, capacity, now) > 3 * each) break;
      if (picker_.state(piece) == PieceState::have) continue;
      want_leaves({piece, 0, layout_.piece_size(piece)}, 1, now);
    }
  }
}

void Torrent::on_hashes(Peer& peer, const wire::Hashes& message, TimePoint now) {
  const auto it = std::find_if(peer.hash_fetches.begin(), peer.hash_fetches.end(),
                               [&](const HashFetch& f) { return f.ref == message.ref; });
  if (it == peer.hash_fetches.end()) return;
  const PieceIndex piece = it->piece;
  peer.hash_fetches.erase(it);
  want_hashes_ = true;
  if (peer.last_block == TimePoint{}) refill_ = true;
  if (is_layer(message.ref)) return on_layer(peer, piece, message, now);
  const PieceNode node = node_of(layout_, piece);
  const merkle::HashRun run = run_of(message.ref);
  const auto top = merkle::climb(run, message.hashes);
  if (!top || top->level != node.height || top->index != node.index ||
      top->hash != roots_->of(piece))
    return ban(peer, "sent hashes that do not lead to the manifest's", now);

  const PieceState state = picker_.state(piece);
  if (state == PieceState::have || state == PieceState::verifying) return;
  auto& leaves = leaves_[piece];
  leaves.resize(std::size_t{1} << node.height);
  for (std::uint32_t i = 0; i < run.length; ++i)
    leaves[run.index - node.first_leaf + i] = message.hashes[i];
  // Blocks that came before their hashes are checked now.
  if (PartialPiece* p = partial(piece)) {
    for (std::uint32_t b = 0; b < p->slots.size(); ++b)
      if (p->slots[b].state == BlockSlot::State::received) check_block(*p, b, now);
  }
}

/// The leaves that a complete piece was verified by serve others from now on.
void Torrent::keep_leaves(PieceIndex piece) {
  const auto node = leaves_.extract(piece);
  if (node.empty()) return;
  const PieceNode place = node_of(layout_, piece);
  const std::uint32_t size = layout_.slices(piece, 0, layout_.piece_size(piece)).front().length;
  merkle::Hashes leaves;
  for (std::uint64_t b = 0; b < merkle::block_count(size); ++b) {
    if (!node.mapped()[b]) return;
    leaves.push_back(*node.mapped()[b]);
  }
  leaf_cache_.add(piece, std::move(leaves), place.height);
}

bool Torrent::check_block(PartialPiece& p, std::uint32_t block, TimePoint now) {
  const auto known = leaves_.find(p.piece);
  if (known == leaves_.end()) return true;
  const BlockSlot& slot = p.slots[block];
  // In a hybrid a block may run past its file's end into pad bytes, which no leaf covers.
  const auto slices = layout_.slices(p.piece, block * kBlockSize, slot.data->size);
  const std::size_t content = slices.front().pad ? 0 : slices.front().length;
  if (content > 0 && !known->second[block]) return true;
  const ByteView data = slot.data->view();
  const bool pad_clean = std::all_of(data.begin() + static_cast<std::ptrdiff_t>(content),
                                     data.end(), [](std::uint8_t b) { return b == 0; });
  const bool matches = content == 0 || sha256(data.first(content)) == *known->second[block];
  if (matches && pad_clean) {
    p.slots[block].state = BlockSlot::State::verified;
    judge_halves(p, block, now);
    host_.keep_block(p.piece, block, slot.data);
    answer_reads(p.piece);
    return true;
  }
  wasted_ += slot.data->size;
  ++failed_blocks_;
  Peer* liar = find(slot.from);
  spoil_halves(p, block);
  p.discard(block);
  rewind_windows();
  refill_ = true;
  if (liar != nullptr) ban(*liar, "sent a block that does not match its leaf hash", now);
  return false;
}

std::optional<FileIndex> Torrent::file_with_root(const Sha256Hash& root) {
  if (file_roots_.empty()) {
    for (std::uint32_t f = 0; f < metainfo_->files.size(); ++f)
      if (const auto& r = metainfo_->files[f].pieces_root) file_roots_.emplace(*r, FileIndex(f));
  }
  const auto it = file_roots_.find(root);
  return it == file_roots_.end() ? std::nullopt : std::optional(it->second);
}

void Torrent::on_hash_request(Peer& peer, const wire::HashRef& ref, TimePoint now) {
  if (!peer.v2)
    return drop(peer, "asked for v2 hashes of a v1 torrent", CloseReason::misbehaved, now);
  const auto refuse = [&] { wire::append_hash_ref(to(peer), wire::MessageId::hash_reject, ref); };
  const auto file = file_with_root(ref.pieces_root);
  if (peer.out.size() > limits::kMaxUnsentAnswers || !file ||
      !merkle::valid(run_of(ref), layout_.files()[file->value].length))
    return refuse();
  const unsigned piece_level = merkle::piece_level(layout_.piece_length());
  if (ref.base_layer >= piece_level) return answer_hash_request(peer, ref, *file, 0, nullptr);

  // Below the piece layer the leaves must be computed, from one piece that is here.
  const std::uint64_t begin = ref.index;
  const std::uint64_t first = begin << ref.base_layer >> piece_level;
  const std::uint64_t last = (begin + ref.length - 1) << ref.base_layer >> piece_level;
  const auto range = layout_.pieces_of(*file);
  if (first != last || first >= range.end.value - range.first.value) return refuse();
  const PieceIndex piece(range.first.value + static_cast<std::uint32_t>(first));
  if (!have().test(piece)) return refuse();
  peer.reading.note(piece);
  if (const merkle::HashTree* tree = leaf_cache_.find(piece))
    return answer_hash_request(peer, ref, *file, static_cast<std::uint32_t>(first), tree);
  if (peer.leaf_requests >= limits::kMaxPeerLeafRequests ||
      leaf_requests_.size() >= limits::kMaxLeafRequests)
    return refuse();
  const auto [waiting, fresh] = leaf_requests_.try_emplace(piece);
  waiting->second.emplace_back(peer.id, ref);
  ++peer.leaf_requests;
  if (fresh) host_.load_leaves(piece);
}

void Torrent::on_leaves(PieceIndex piece, std::vector<Sha256Hash> leaves, TimePoint now) {
  const auto node = leaf_requests_.extract(piece);
  if (node.empty()) return;
  const PieceNode place = node_of(layout_, piece);
  const merkle::HashTree* tree =
      leaves.empty() ? nullptr : leaf_cache_.add(piece, std::move(leaves), place.height);
  for (const auto& [id, ref] : node.mapped()) {
    Peer* peer = find(id);
    if (peer == nullptr) continue;
    --peer->leaf_requests;
    if (tree == nullptr) {
      wire::append_hash_ref(to(*peer), wire::MessageId::hash_reject, ref);
    } else {
      answer_hash_request(*peer, ref, place.file, place.index, tree);
    }
  }
  flush(now);
}

/// `below` is the tree over the piece with this number in its file; null: nothing below the piece
/// layer is wanted.
void Torrent::answer_hash_request(Peer& peer, const wire::HashRef& ref, FileIndex file,
                                  std::uint32_t piece_in_file, const merkle::HashTree* below) {
  const unsigned piece_level = merkle::piece_level(layout_.piece_length());
  const std::uint64_t length = layout_.files()[file.value].length;
  const unsigned piece_height = merkle::piece_height(layout_.piece_length(), length);
  const merkle::HashTree* above = file_tree(file);
  const auto node_at = [&](unsigned level, std::uint64_t index) -> std::optional<Sha256Hash> {
    if (level >= piece_level) {
      if (above != nullptr) return above->node(level, index);
      return std::nullopt;
    }
    if (below == nullptr) return std::nullopt;
    const std::uint64_t start = std::uint64_t{piece_in_file} << (piece_height - level);
    if (index < start || index - start >= (std::uint64_t{1} << (piece_height - level)))
      return std::nullopt;
    return below->node(level, index - start);
  };
  if (const auto hashes = merkle::answer(run_of(ref), node_at)) {
    wire::append_hashes(to(peer), ref, *hashes);
  } else {
    wire::append_hash_ref(to(peer), wire::MessageId::hash_reject, ref);
  }
}

/// The tree from the piece layer up; null for a file without one, or with unknown pieces.
const merkle::HashTree* Torrent::file_tree(FileIndex file) {
  const auto found = trees_.find(file);
  if (found != trees_.end()) return &found->second;
  const std::uint64_t length = layout_.files()[file.value].length;
  if (length <= layout_.piece_length() || !roots_->complete(file)) return nullptr;
  merkle::Hashes layer;
  const auto range = layout_.pieces_of(file);
  for (PieceIndex p = range.first; p < range.end; ++p) {
    const auto root = roots_->of(p);
    if (!root) return nullptr;
    layer.push_back(*root);
  }
  const unsigned level = merkle::piece_level(layout_.piece_length());
  return &trees_.emplace(file, merkle::HashTree(std::move(layer), level, merkle::height(length)))
              .first->second;
}

}  // namespace swarmfs::engine
