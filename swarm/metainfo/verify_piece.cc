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

PieceCheck verify_piece(const PieceRoots& roots, PieceIndex piece,
                        std::span<const ByteView> bytes) {
  const Metainfo& metainfo = *roots.metainfo();
  const std::uint32_t size = metainfo.layout.piece_size(piece);
  std::uint64_t given = 0;
  for (const ByteView& view : bytes) given += view.size();
  if (given != size) return PieceCheck::bad;

  const auto root = roots.of(piece);
  if (!root && !metainfo.has_v1()) return PieceCheck::bad;
  const File& file = metainfo.files[metainfo.layout.file_of(piece).value];
  std::uint64_t in_file = root ? v2_size(metainfo.layout, piece) : size;
  bool pad_clean = true;
  PieceDigester digester(metainfo.has_v1(), root.has_value());
  for (const ByteView view : bytes) {
    const auto of_file = static_cast<std::size_t>(std::min<std::uint64_t>(view.size(), in_file));
    digester.update(view.first(of_file));
    const ByteView pad = view.subspan(of_file);
    pad_clean = pad_clean && std::all_of(pad.begin(), pad.end(), [](auto b) { return b == 0; });
    digester.update_pad(pad);
    in_file -= of_file;
  }
  const unsigned top = root ? merkle::piece_height(metainfo.layout.piece_length(), file.length) : 0;
  const PieceDigests digests = digester.finish(top);
  const bool v1 = !metainfo.has_v1() || digests.v1 == metainfo.piece_hashes[piece.value];
  // The root says nothing of the pad, which a liar may fill to have the manifest blamed.
  const bool v2 = !root || (digests.v2 == *root && pad_clean);
  if (v1 && v2) return PieceCheck::good;
  return metainfo.has_v1() && root && v1 != v2 ? PieceCheck::contradiction : PieceCheck::bad;
}

}  // namespace swarmfs::metainfo
