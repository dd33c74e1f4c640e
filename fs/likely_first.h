// Which parts of a torrent's files programs look at first, told from their names. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "swarm/base/strong_index.h"

namespace swarmfs::fs {

/// A file as far as it matters here; the views must outlive the call.
struct NamedFile {
  FileIndex index;
  std::string_view name;     ///< the last component of its path
  std::uint64_t length = 0;  ///< bytes
};

/// Bytes [begin, end) of a file, not empty.
struct FileRange {
  FileIndex file;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const FileRange&) const = default;
};

/// Head and tail of the largest `most` files that players and unpackers open at both ends: films,
/// music, archives, documents with an index at the end. Head before tail, the largest file first.
std::vector<FileRange> likely_first(std::span<const NamedFile> files, std::size_t most = 8);

}  // namespace swarmfs::fs
