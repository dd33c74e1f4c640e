// The file lists of an info dictionary as they stand: v1's `files` and v2's `file tree`, checked
// for form but with names still raw. Views point into the bencoded input.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "swarm/base/bencode.h"
#include "swarm/base/hash.h"
#include "swarm/base/result.h"

namespace swarmfs::metainfo {

struct RawFile {
  std::vector<std::string_view> path;  ///< below the root; empty for v1's single file
  std::uint64_t length = 0;            ///< 0 for a symlink
  bool pad = false;
  bool executable = false;
  bool is_symlink = false;
  std::vector<std::string_view> symlink;
  std::optional<Sha256Hash> pieces_root;
};

/// The longest content a manifest may describe: as many pieces as we allow.
std::uint64_t max_content(std::uint32_t piece_length);

/// BEP 3's `length` or `files`, with BEP 47's attributes. Lengths add up to at most max_content().
Result<std::vector<RawFile>> read_v1_files(const bencode::Node& info, std::uint32_t piece_length);

/// BEP 52's `file tree`, in its order, which must be that of the raw names. Each file starts a
/// piece; the pieces together are at most kMaxPieces.
Result<std::vector<RawFile>> read_v2_files(const bencode::Node& info, std::uint32_t piece_length);

}  // namespace swarmfs::metainfo
