// Checks local files against a manifest, piece by piece, on all cores.
#pragma once

#include <filesystem>
#include <stop_token>
#include <vector>

#include "swarm/metainfo/hash_pieces.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {

/// A file that is not what the manifest says, apart from the hashes of its pieces.
struct FileProblem {
  FileIndex file;
  Error error;  ///< not_found, permission or io; mismatch for a wrong size, kind or link target
};

struct CheckReport {
  std::vector<bool> good;  ///< by piece: every hash the manifest has for it matched
  std::vector<FileProblem> problems;

  std::uint32_t bad_pieces() const;
};

/// Hashes every piece of the content below `base` (see find_content). Pieces of files that are
/// missing, short or unreadable are bad, and the files are named in `problems`. A v2 piece whose
/// root the manifest lacks cannot be checked and counts as bad. Error: cancelled.
Result<CheckReport> check_pieces(const Metainfo& metainfo, const std::filesystem::path& base,
                                 const Progress& progress = {}, std::stop_token cancel = {});

}  // namespace swarmfs::metainfo
