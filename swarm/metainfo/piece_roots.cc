#include "swarm/metainfo/piece_roots.h"

#include <algorithm>

namespace swarmfs::metainfo {

PieceRoots::PieceRoots(std::shared_ptr<const Metainfo> metainfo) : metainfo_(std::move(metainfo)) {
  const Metainfo& m = *metainfo_;
  if (!m.has_v2()) return;
  for (std::uint32_t f = 0; f < m.files.size(); ++f) {
    if (!m.files[f].pieces_root || m.files[f].length <= m.layout.piece_length()) continue;
    const auto range = m.layout.pieces_of(FileIndex(f));
    // A manifest brings the layer of a file as a whole or not at all.
    if (m.piece_roots[range.first.value]) continue;
    Layer& layer = layers_[key_of(FileIndex(f))];
    layer.left = range.end.value - range.first.value;
    layer.file = FileIndex(f);
    ++layer.files;
    unknown_ += layer.left;
  }
}

std::uint32_t PieceRoots::pieces_in(std::uint64_t length) const {
  const std::uint64_t each = metainfo_->layout.piece_length();
  return static_cast<std::uint32_t>((length + each - 1) / each);
}

PieceRoots::Key PieceRoots::key_of(FileIndex file) const {
  const File& f = metainfo_->files[file.value];
  return {f.pieces_root.value_or(Sha256Hash{}), f.length};
}

PieceRoots::Layer* PieceRoots::find(FileIndex file) {
  const auto found = layers_.find(key_of(file));
  return found == layers_.end() ? nullptr : &found->second;
}

std::optional<Sha256Hash> PieceRoots::of(PieceIndex piece) const {
  if (!metainfo_->has_v2()) return std::nullopt;
  if (const auto& known = metainfo_->piece_roots[piece.value]) return known;
  if (layers_.empty()) return std::nullopt;
  const FileIndex file = metainfo_->layout.file_of(piece);
  const auto found = layers_.find(key_of(file));
  if (found == layers_.end()) return std::nullopt;
  const std::uint32_t index = piece.value - metainfo_->layout.pieces_of(file).first.value;
  const std::lock_guard lock(mutex_);
  const auto& roots = found->second.roots;
  return index < roots.size() ? roots[index] : std::nullopt;
}

bool PieceRoots::complete(FileIndex file) const {
  const auto found = layers_.find(key_of(file));
  if (found == layers_.end()) return true;
  const std::lock_guard lock(mutex_);
  return found->second.left == 0;
}

std::vector<FileIndex> PieceRoots::incomplete() const {
  std::vector<FileIndex> files;
  if (layers_.empty()) return files;
  for (std::uint32_t f = 0; f < metainfo_->files.size(); ++f)
    if (!complete(FileIndex(f))) files.push_back(FileIndex(f));
  return files;
}

void PieceRoots::set(Layer& layer, std::uint32_t index, const Sha256Hash& root) {
  if (layer.roots.empty()) layer.roots.resize(layer.left);
  if (layer.roots[index]) return;
  layer.roots[index] = root;
  --layer.left;
  unknown_ -= layer.files;
}

LayerProof PieceRoots::learn(FileIndex file, const merkle::HashRun& run, merkle::HashView hashes) {
  Layer* const layer = find(file);
  const auto& [root, length] = key_of(file);
  const unsigned level = merkle::piece_level(metainfo_->layout.piece_length());
  if (layer == nullptr || run.base != level || !merkle::valid(run, length) ||
      !merkle::proves(run, hashes, merkle::height(length), root))
    return LayerProof::wrong;
  const std::uint32_t count = pieces_in(length);
  for (std::uint32_t i = 0; i < run.length; ++i)
    if (run.index + i >= count && hashes[i] != merkle::zero_subtree(level))
      return LayerProof::contradiction;
  const std::lock_guard lock(mutex_);
  for (std::uint32_t i = 0; i < run.length && run.index + i < count; ++i)
    set(*layer, run.index + i, hashes[i]);
  return LayerProof::good;
}

bool PieceRoots::learn(FileIndex file, merkle::HashView hashes) {
  Layer* const layer = find(file);
  const auto& [root, length] = key_of(file);
  const unsigned level = merkle::piece_level(metainfo_->layout.piece_length());
  if (layer == nullptr || hashes.size() != pieces_in(length) ||
      merkle::root(hashes, level, merkle::height(length)) != root)
    return false;
  const std::lock_guard lock(mutex_);
  for (std::uint32_t i = 0; i < hashes.size(); ++i) set(*layer, i, hashes[i]);
  return true;
}

std::size_t PieceRoots::learnt() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      layers_.begin(), layers_.end(), [](const auto& entry) { return entry.second.left == 0; }));
}

/// For each layer: the file's root, its length as 8 bytes, big-endian, and the hashes of its
/// pieces.
Bytes PieceRoots::save() const {
  Bytes out;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, layer] : layers_) {
    if (layer.left > 0) continue;
    append(out, key.first);
    append_be<std::uint64_t>(out, key.second);
    for (const auto& root : layer.roots) append(out, *root);
  }
  return out;
}

void PieceRoots::load(ByteView saved) {
  static constexpr std::size_t kHash = std::tuple_size_v<Sha256Hash>;
  const auto take_hash = [&saved] {
    Sha256Hash hash;
    std::copy_n(saved.begin(), kHash, hash.begin());
    saved = saved.subspan(kHash);
    return hash;
  };
  while (saved.size() >= kHash + 8) {
    const Sha256Hash root = take_hash();
    const auto length = load_be<std::uint64_t>(saved.data());
    saved = saved.subspan(8);
    const auto found = layers_.find({root, length});
    // Without its file the record's size is not known, nor what follows it.
    if (found == layers_.end() || saved.size() / kHash < pieces_in(length)) return;
    merkle::Hashes layer(pieces_in(length));
    for (Sha256Hash& hash : layer) hash = take_hash();
    learn(found->second.file, layer);
  }
}

}  // namespace swarmfs::metainfo
