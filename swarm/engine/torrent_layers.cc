// Torrent: piece layers that the manifest lacks, fetched from peers (BEP 52).
//
// Until the root of a v2 piece is known, nothing is asked for that could not be verified. Layers
// come in runs, each proven up to the root that the info dictionary has for its file, and each of
// use as soon as it is here. Those that a reader waits for come first.
#include <algorithm>
#include <tuple>
#include <vector>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/metainfo/merkle.h"

namespace swarmfs::engine {

namespace merkle = metainfo::merkle;

bool Torrent::is_layer(const wire::HashRef& ref) const {
  // Pieces of one block have no leaves below their layer, so none are asked for either.
  return ref.base_layer == merkle::piece_level(layout_.piece_length());
}

bool Torrent::may_ask_layers(const Peer& peer, TimePoint now) const {
  return !peer.closing && peer.greeted && peer.v2 && now >= peer.layers_after &&
         peer.hash_fetches.size() < limits::kMaxHashFetches;
}

/// The run of its file's layer that holds the piece, and the hashes that lead to the root.
wire::HashRef Torrent::layer_run(FileIndex file, PieceIndex piece) const {
  const std::uint64_t length = layout_.files()[file.value].length;
  const unsigned level = merkle::piece_level(layout_.piece_length());
  const unsigned top = merkle::height(length);
  const std::uint32_t run = std::min(1U << (top - level), limits::kMaxHashRun);
  const std::uint32_t index = piece.value - layout_.pieces_of(file).first.value;
  return {*metainfo_->files[file.value].pieces_root, level, index / run * run, run,
          merkle::proof_layers_to_root(level, top)};
}

/// On demand, layers are fetched of the files that are read, and of what the user asked for.
bool Torrent::wanted_now(FileIndex file) const {
  if (!config_.on_demand) return true;
  const auto range = layout_.pieces_of(file);
  for (PieceIndex piece = range.first; piece < range.end; ++piece)
    if (pinned_missing_.contains(piece) || prefetch_.contains(piece)) return true;
  const auto read = reads_by_piece_.lower_bound(range.first);
  if (read != reads_by_piece_.end() && read->first < range.end) return true;
  return std::any_of(windows_.begin(), windows_.end(), [&](const auto& entry) {
    return entry.second.ahead.first < range.end && range.first < entry.second.ahead.end;
  });
}

void Torrent::want_layers(TimePoint now) {
  if (lacking_.empty() || complete()) return;
  std::set<wire::HashRef> asked;
  std::vector<Peer*> able;
  for (auto& [id, peer] : peers_) {
    for (const HashFetch& fetch : peer->hash_fetches) asked.insert(fetch.ref);
    if (may_ask_layers(*peer, now)) able.push_back(peer.get());
  }
  // False when nobody can be asked any more.
  const auto want = [&](FileIndex file, PieceIndex piece) {
    if (roots_->of(piece)) return true;
    const wire::HashRef ref = layer_run(file, piece);
    if (asked.contains(ref)) return true;
    if (able.empty()) return false;
    // Who has the piece could verify it, so it has the layer; others may have it.
    const auto best = std::min_element(able.begin(), able.end(), [&](Peer* a, Peer* b) {
      return std::tuple(!a->bits.test(piece), a->pace.estimate(0)) <
             std::tuple(!b->bits.test(piece), b->pace.estimate(0));
    });
    Peer& peer = **best;
    peer.hash_fetches.push_back({ref, piece, now});
    asked.insert(ref);
    wire::append_hash_ref(to(peer), wire::MessageId::hash_request, ref);
    wake_at(now + limits::kHashTimeout);
    if (peer.hash_fetches.size() >= limits::kMaxHashFetches) able.erase(best);
    return true;
  };
  const auto want_piece = [&](PieceIndex piece) { return want(layout_.file_of(piece), piece); };

  unsigned looked = 0;
  for (const auto& [id, read] : reads_) {
    if (++looked > limits::kReadsLookedAt) break;
    for (const Layout::Span& span : read.spans)
      if (!want_piece(span.piece)) return;
  }
  for (const auto& [handle, window] : windows_)
    for (PieceIndex piece = window.ahead.first; piece < window.ahead.end; ++piece)
      if (!want_piece(piece)) return;
  for (auto it = lacking_.begin(); it != lacking_.end();) {
    const FileIndex file = *it++;
    if (roots_->complete(file)) {  // it shares the layer of another file
      lacking_.erase(file);
      continue;
    }
    if (!wanted_now(file)) continue;
    const auto range = layout_.pieces_of(file);
    const std::uint32_t run = layer_run(file, range.first).length;
    for (PieceIndex piece = range.first; piece < range.end; piece = PieceIndex(piece.value + run))
      if (!want(file, piece)) return;
  }
}

void Torrent::on_layer(Peer& peer, PieceIndex piece, const wire::Hashes& message, TimePoint now) {
  const FileIndex file = layout_.file_of(piece);
  const auto proof = roots_->learn(file, run_of(message.ref), message.hashes);
  if (proof == metainfo::LayerProof::contradiction)
    return contradict("a file is longer by its pieces root than by its length", now);
  if (proof == metainfo::LayerProof::wrong)
    return ban(peer, "sent hashes that do not lead to the manifest's", now);
  const auto range = layout_.pieces_of(file);
  for (auto it = reads_by_piece_.lower_bound(range.first);
       it != reads_by_piece_.end() && it->first < range.end; ++it)
    note_progress(it->first, now);
  refill_ = true;
  if (!roots_->complete(file)) return;
  lacking_.erase(file);
  host_.layer_learnt();
}

}  // namespace swarmfs::engine
