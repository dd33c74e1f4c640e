// The content behind the torrents in data/, which libtorrent made (see make_fixtures.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/metainfo/verify_piece.h"

namespace swarmfs::metainfo::fixtures {

/// The byte pattern that make_fixtures.py fills files with.
inline Bytes pattern(std::uint64_t seed, std::size_t length) {
  Bytes out(length);
  for (std::size_t i = 0; i < length; ++i) {
    out[i] = static_cast<std::uint8_t>(i * 7 + i / 251 + seed * 13);
  }
  return out;
}

/// Content of every fixture file, by its path with slashes.
inline const std::map<std::string, Bytes>& contents() {
  static const std::map<std::string, Bytes> all = {
      {"a.bin", pattern(1, 100'000)},    {"empty", {}},
      {"sub/b.bin", pattern(3, 65'536)}, {"sub/deep/c.bin", pattern(4, 40'000)},
      {"z.bin", pattern(5, 5)},          {"single.bin", pattern(9, 200'000)}};
  return all;
}

inline std::string joined(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& part : path) out += (out.empty() ? "" : "/") + part;
  return out;
}

inline std::filesystem::path file(const std::string& name) {
  return std::filesystem::path(FIXTURE_DIR) / name;
}

inline Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

inline void write_file(const std::filesystem::path& path, ByteView bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
}

/// A piece's bytes as the fixtures' content has them, pads as zeros.
inline Bytes piece_bytes(const Metainfo& m, PieceIndex piece) {
  Bytes out;
  for (const auto& slice : m.layout.slices(piece, 0, m.layout.piece_size(piece))) {
    if (slice.pad) {
      out.insert(out.end(), slice.length, 0);
    } else {
      const Bytes& content = contents().at(joined(m.files[slice.file.value].path));
      append(out, ByteView(content).subspan(slice.file_offset, slice.length));
    }
  }
  return out;
}

/// verify_piece() with nothing known but what the manifest brings.
inline bool verifies(const Metainfo& m, PieceIndex piece, std::span<const ByteView> bytes) {
  return verify_piece(PieceRoots(std::make_shared<const Metainfo>(m)), piece, bytes) ==
         PieceCheck::good;
}

inline const std::vector<std::string>& torrents() {
  static const std::vector<std::string> all = {"tree_v1.torrent",     "tree_v2.torrent",
                                               "tree_hybrid.torrent", "single_v1.torrent",
                                               "single_v2.torrent",   "single_hybrid.torrent"};
  return all;
}

}  // namespace swarmfs::metainfo::fixtures
