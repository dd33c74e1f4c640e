// Makes a torrent of local files: hybrid, v2 or v1. The same files and options always give the
// same bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "swarm/metainfo/hash_pieces.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {

struct PublishOptions {
  Format format = Format::hybrid;
  std::uint32_t piece_length = 0;  ///< power of two, 16 KiB to 512 MiB; 0: choose_piece_length()
  std::vector<std::string> trackers{};  ///< a tier each (BEP 12)
  std::vector<std::string> webseeds{};  ///< BEP 19
  bool is_private = false;              ///< BEP 27
  std::string comment{};
  std::optional<std::int64_t> creation_date{};
  unsigned threads = 0;  ///< 0: one a core
};

struct Published {
  Bytes torrent;
  std::vector<std::string> notes;  ///< what was left out, a line each
};

/// A power of two that makes about 1000 to 2000 pieces, within 64 KiB and 16 MiB.
std::uint32_t choose_piece_length(std::uint64_t total_size);

/// Hashes a file or folder, every byte read once, and writes its torrent. Hybrids get BEP 47 pad
/// files. Errors name the file; besides scan()'s: a file that cannot be read or that changes
/// meanwhile, more than 2^21 pieces, cancelled.
Result<Published> publish(const std::filesystem::path& path, const PublishOptions& options,
                          const Progress& progress = {}, std::stop_token cancel = {});

}  // namespace swarmfs::metainfo
