// Hashes all pieces of local files on all cores, reading every byte once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <vector>

#include "swarm/base/layout.h"
#include "swarm/base/result.h"
#include "swarm/metainfo/piece_digest.h"

namespace swarmfs::metainfo {

/// Called now and then, on the thread that started the work: bytes done, and of how many.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct HashJob {
  const Layout& layout;
  /// Where each file of the layout is; pads' are ignored.
  const std::vector<std::filesystem::path>& paths;
  bool v1 = false;
  bool v2 = false;
  unsigned threads = 0;  ///< 0: one a core
};

/// Gets a piece's digests, or the error that kept it from being read. Called from several threads
/// at once, once a piece, in any order. False ends the work early.
using PieceHashed = std::function<bool(PieceIndex, const Result<PieceDigests>&)>;

/// Returns when every piece was reported, or the work was ended: then the error is `cancelled`.
/// A file shorter than the layout says is an error of its pieces (mismatch).
Result<> hash_pieces(const HashJob& job, const PieceHashed& on_piece, const Progress& progress = {},
                     std::stop_token cancel = {});

}  // namespace swarmfs::metainfo
