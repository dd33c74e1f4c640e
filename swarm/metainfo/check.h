// Checks local files against a manifest, piece by piece, on all cores.
#pragma once

#include <filesystem>
#include <stop_token>
#include <vector>

#include "swarm/metainfo/hash_pieces.h"
#include "swarm/metainfo/piece_roots.h"

namespace swarmfs::metainfo {

/// A file that is not what the manifest says, apart from the hashes of its pieces.
struct FileProblem {
  FileIndex file;
  Error error;  ///< not_found, permission or io; mismatch for a wrong size, kind or link target
  /// The file's bytes as a whole differ, and which of its pieces do cannot be said.
  bool pieces_unknown = false;
};

struct CheckReport {
  std::vector<bool> good;  ///< by piece: every hash known for it matched
  std::vector<FileProblem> problems;

  std::uint32_t bad_pieces() const;
};

/// Hashes every piece of the content below `base` (see find_content). Pieces of files that are
/// missing, short or unreadable are bad, and the files are named in `problems`. Where a file's
/// piece layer is not known, the hashes of all its pieces must lead to its root, and `roots` learns
/// them; if they do not, and no v1 hash tells, all pieces of the file are bad. Error: cancelled.
Result<CheckReport> check_pieces(PieceRoots& roots, const std::filesystem::path& base,
                                 const Progress& progress = {}, std::stop_token cancel = {});

}  // namespace swarmfs::metainfo
