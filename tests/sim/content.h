// A torrent made in memory of bytes that a seed decides, for every format.
#pragma once

#include <memory>
#include <vector>

#include "swarm/metainfo/metainfo.h"

namespace swarmfs::sim {

class Content {
 public:
  /// `pieces` whole pieces (the last a little short) of `piece_length`, in one file.
  static std::shared_ptr<const Content> make(metainfo::Format format, std::uint32_t pieces,
                                             std::uint32_t piece_length, std::uint64_t seed = 1);

  const std::shared_ptr<const metainfo::Metainfo>& metainfo() const { return metainfo_; }
  const Layout& layout() const { return metainfo_->layout; }
  std::uint64_t size() const { return bytes_.size(); }
  /// As it is exchanged; the range must lie in the piece.
  ByteView at(PieceIndex piece, std::uint32_t begin, std::uint32_t length) const {
    return ByteView(bytes_).subspan(std::uint64_t{piece.value} * layout().piece_length() + begin,
                                    length);
  }
  /// All leaf hashes of a piece; empty for v1.
  std::vector<Sha256Hash> leaves(PieceIndex piece) const;
  /// The same torrent, all but its piece layers, as a magnet link brings it (BEP 9).
  std::shared_ptr<const metainfo::Metainfo> without_layers() const;

 private:
  std::shared_ptr<const metainfo::Metainfo> metainfo_;
  Bytes bytes_;
};

}  // namespace swarmfs::sim
