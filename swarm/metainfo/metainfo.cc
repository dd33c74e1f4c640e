#include "swarm/metainfo/metainfo.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

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

Result<Metainfo> load(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return fail(ErrorKind::bad_input, path.string() + ": is a folder, not a torrent file");
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  if (!file) return Error::from_errno(errno, path.string());
  Bytes bytes;
  std::size_t got = 0;
  do {
    static constexpr std::size_t kChunk = 1 << 20;
    bytes.resize(bytes.size() + kChunk);
    got = std::fread(bytes.data() + bytes.size() - kChunk, 1, kChunk, file.get());
    bytes.resize(bytes.size() - kChunk + got);
  } while (got > 0 && bytes.size() <= kMaxTorrentSize);
  if (std::ferror(file.get()) != 0) return Error::from_errno(EIO, path.string());
  Result<Metainfo> metainfo = parse(bytes);
  if (!metainfo) {
    return fail(metainfo.error().kind, path.string() + ": " + metainfo.error().message);
  }
  return metainfo;
}

bool verify_piece(const Metainfo& metainfo, PieceIndex piece, std::span<const ByteView> bytes) {
  const std::uint32_t size = metainfo.layout.piece_size(piece);
  std::uint64_t given = 0;
  for (const ByteView& view : bytes) given += view.size();
  if (given != size) return false;

  const auto root = metainfo.has_v2() ? metainfo.piece_roots[piece.value] : std::nullopt;
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
