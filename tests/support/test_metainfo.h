// Manifests of random content, made in memory: v1, v2 and hybrid, with every hash right.
#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "swarm/base/bitfield.h"
#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::test {

struct TestContent {
  std::shared_ptr<const metainfo::Metainfo> metainfo;
  std::vector<Bytes> pieces;  ///< as peers exchange them, pads included

  const Layout& layout() const { return metainfo->layout; }
  BlockPtr block(PieceIndex piece, std::uint32_t index) const {
    auto block = std::make_shared<Block>();
    block->size = layout().block_size(piece, index);
    std::copy_n(pieces[piece.value].begin() + std::ptrdiff_t{index} * kBlockSize, block->size,
                block->data.begin());
    return block;
  }
  std::vector<BlockPtr> blocks(PieceIndex piece) const {
    std::vector<BlockPtr> out;
    for (std::uint32_t b = 0; b < layout().block_count(piece); ++b) out.push_back(block(piece, b));
    return out;
  }
  Bitfield all() const {
    Bitfield bits(layout().piece_count());
    bits.set_all();
    return bits;
  }
  Bitfield none() const { return Bitfield(layout().piece_count()); }
  /// Leaf hashes of the part of a piece that its file covers.
  metainfo::merkle::Hashes leaves(PieceIndex piece) const {
    const auto slice = layout().slices(piece, 0, layout().piece_size(piece)).front();
    metainfo::merkle::LeafHasher hasher;
    hasher.update(ByteView(pieces[piece.value]).first(slice.length));
    return hasher.finish();
  }
};

/// The roots of all pieces of a file: its piece layer, where it is longer than a piece.
inline metainfo::merkle::Hashes layer_of(const TestContent& content, FileIndex file) {
  namespace merkle = metainfo::merkle;
  const Layout& layout = content.layout();
  merkle::Hashes layer;
  const auto range = layout.pieces_of(file);
  for (PieceIndex p = range.first; p < range.end; ++p)
    layer.push_back(merkle::root(
        content.leaves(p), 0,
        merkle::piece_height(layout.piece_length(), layout.files()[file.value].length)));
  return layer;
}

/// The same content, its manifest without `piece layers`, as a magnet link brings it (BEP 9).
inline TestContent without_layers(TestContent content) {
  auto m = std::make_shared<metainfo::Metainfo>(*content.metainfo);
  for (std::uint32_t f = 0; f < m->files.size(); ++f) {
    if (m->files[f].length <= m->layout.piece_length()) continue;
    const auto range = m->layout.pieces_of(FileIndex(f));
    if (m->files[f].pieces_root)
      for (PieceIndex p = range.first; p < range.end; ++p) m->piece_roots[p.value].reset();
  }
  content.metainfo = m;
  return content;
}

/// Files of these lengths (over 0). A hybrid's files are padded to whole pieces, bar the last.
inline TestContent make_content(metainfo::Format format, std::uint32_t piece_length,
                                const std::vector<std::uint64_t>& lengths, unsigned seed = 1) {
  namespace merkle = metainfo::merkle;
  auto m = std::make_shared<metainfo::Metainfo>();
  m->format = format;
  m->name = "content";
  std::vector<LayoutFile> files;
  std::uint64_t offset = 0;
  const auto add = [&](std::uint64_t length, bool pad) {
    files.push_back({offset, length, pad});
    metainfo::File file;
    file.length = length;
    file.pad = pad;
    if (!pad) file.path = {"f" + std::to_string(m->files.size())};
    m->files.push_back(std::move(file));
  };
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::uint64_t gap = (piece_length - lengths[i] % piece_length) % piece_length;
    add(lengths[i], false);
    offset += lengths[i];
    if (format == metainfo::Format::hybrid && gap > 0 && i + 1 < lengths.size()) add(gap, true);
    if (format != metainfo::Format::v1) offset += gap;
  }
  m->layout = Layout(
      piece_length, std::move(files),
      format == metainfo::Format::v2 ? PieceAddressing::per_file : PieceAddressing::contiguous);
  TestContent content;
  std::mt19937_64 rng(seed);
  for (std::uint32_t p = 0; p < m->layout.piece_count(); ++p) {
    Bytes piece;
    std::uint64_t word = 0;
    for (const auto& slice :
         m->layout.slices(PieceIndex(p), 0, m->layout.piece_size(PieceIndex(p))))
      for (std::uint32_t i = 0; i < slice.length; ++i) {
        if (i % 8 == 0) word = rng();
        piece.push_back(slice.pad ? std::uint8_t{0} : static_cast<std::uint8_t>(word >> i % 8 * 8));
      }
    content.pieces.push_back(std::move(piece));
  }
  content.metainfo = m;
  Bytes name{static_cast<std::uint8_t>(format), static_cast<std::uint8_t>(seed)};
  if (m->has_v1()) {
    m->hashes.v1 = sha1(name);
    for (const Bytes& piece : content.pieces) m->piece_hashes.push_back(sha1(piece));
  }
  if (!m->has_v2()) return content;
  m->hashes.v2 = sha256(name);
  m->piece_roots.resize(content.pieces.size());
  for (std::uint32_t f = 0; f < m->files.size(); ++f) {
    metainfo::File& file = m->files[f];
    if (file.pad || file.length == 0) continue;
    const merkle::Hashes layer = layer_of(content, FileIndex(f));
    std::copy(layer.begin(), layer.end(),
              m->piece_roots.begin() + m->layout.pieces_of(FileIndex(f)).first.value);
    file.pieces_root = layer.size() == 1 ? layer.front()
                                         : merkle::root(layer, merkle::piece_level(piece_length),
                                                        merkle::height(file.length));
  }
  return content;
}

}  // namespace swarmfs::test
