#include "swarm/metainfo/verify_piece.h"

#include <algorithm>

#include "swarm/metainfo/piece_digest.h"

namespace swarmfs::metainfo {
namespace {

/// The bytes of the piece that BEP 52 hashes: all but the pad that follows a hybrid's file.
std::uint32_t v2_size(const Layout& layout, PieceIndex piece) {
  const std::uint32_t size = layout.piece_size(piece);
  if (layout.addressing() == PieceAddressing::per_file) return size;
  const Layout::Slice first = layout.slices(piece, 0, size).front();
  return first.length;
}

}  // namespace

bool verify_piece(const PieceRoots& roots, PieceIndex piece, std::span<const ByteView> bytes) {
  const Metainfo& metainfo = *roots.metainfo();
  const std::uint32_t size = metainfo.layout.piece_size(piece);
  std::uint64_t given = 0;
  for (const ByteView& view : bytes) given += view.size();
  if (given != size) return false;

  const auto root = roots.of(piece);
  if (!root && !metainfo.has_v1()) return false;
  const File& file = metainfo.files[metainfo.layout.file_of(piece).value];
  std::uint64_t in_file = root ? v2_size(metainfo.layout, piece) : size;
  PieceDigester digester(metainfo.has_v1(), root.has_value());
  for (const ByteView view : bytes) {
    const auto of_file = static_cast<std::size_t>(std::min<std::uint64_t>(view.size(), in_file));
    digester.update(view.first(of_file));
    digester.update_pad(view.subspan(of_file));
    in_file -= of_file;
  }
  const unsigned top = root ? merkle::piece_height(metainfo.layout.piece_length(), file.length) : 0;
  const PieceDigests digests = digester.finish(top);
  if (metainfo.has_v1() && digests.v1 != metainfo.piece_hashes[piece.value]) return false;
  return !root || digests.v2 == *root;
}

}  // namespace swarmfs::metainfo
