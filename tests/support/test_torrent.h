// Random content with a layout: what a torrent is to the cache.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "swarm/base/block.h"
#include "swarm/base/hash.h"
#include "swarm/base/layout.h"
#include "swarm/base/piece_store.h"

namespace swarmfs::test {

struct TestTorrent {
  Layout layout;
  std::vector<Bytes> pieces;
  std::vector<Sha1Hash> hashes;

  /// Contiguous files of these lengths; a negative length is a pad file.
  TestTorrent(std::uint32_t piece_length, const std::vector<std::int64_t>& lengths,
              std::uint64_t seed = 1) {
    std::vector<LayoutFile> files;
    std::uint64_t offset = 0;
    for (const std::int64_t length : lengths) {
      const auto size = static_cast<std::uint64_t>(length < 0 ? -length : length);
      files.push_back({offset, size, length < 0});
      offset += size;
    }
    layout = Layout(piece_length, std::move(files), PieceAddressing::contiguous);
    fill(seed);
  }

  /// v2: every file starts a piece.
  static TestTorrent per_file(std::uint32_t piece_length, const std::vector<std::uint64_t>& lengths,
                              std::uint64_t seed = 1) {
    TestTorrent torrent;
    std::vector<LayoutFile> files;
    std::uint64_t offset = 0;
    for (const std::uint64_t length : lengths) {
      files.push_back({offset, length, false});
      offset += (length + piece_length - 1) / piece_length * piece_length;
    }
    torrent.layout = Layout(piece_length, std::move(files), PieceAddressing::per_file);
    torrent.fill(seed);
    return torrent;
  }

  std::uint32_t count() const { return layout.piece_count(); }

  std::vector<BlockPtr> blocks(std::uint32_t piece) const {
    std::vector<BlockPtr> out;
    const Bytes& bytes = pieces[piece];
    for (std::size_t at = 0; at < bytes.size(); at += kBlockSize) {
      auto block = std::make_shared<Block>();
      block->size =
          static_cast<std::uint32_t>(std::min<std::size_t>(kBlockSize, bytes.size() - at));
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), block->size,
                  block->data.begin());
      out.push_back(std::move(block));
    }
    return out;
  }

  VerifyPiece verify() const {
    return [this](PieceIndex piece, std::span<const ByteView> parts) {
      Sha1 hasher;
      for (const ByteView part : parts) hasher.update(part);
      return hasher.finish() == hashes[piece.value];
    };
  }

  /// The part of a piece that a read must return.
  ByteView part(std::uint32_t piece, std::uint32_t begin, std::uint32_t length) const {
    return ByteView(pieces[piece]).subspan(begin, length);
  }

 private:
  TestTorrent() = default;
  void fill(std::uint64_t seed) {
    std::mt19937_64 rng(seed);
    for (std::uint32_t i = 0; i < layout.piece_count(); ++i) {
      Bytes piece;
      const PieceIndex index(i);
      for (const Layout::Slice& slice : layout.slices(index, 0, layout.piece_size(index)))
        for (std::uint32_t n = 0; n < slice.length; ++n)
          piece.push_back(slice.pad ? std::uint8_t{0} : static_cast<std::uint8_t>(rng() >> 32));
      hashes.push_back(sha1(piece));
      pieces.push_back(std::move(piece));
    }
  }
};

}  // namespace swarmfs::test
