// Whether the bytes of a piece are right.
#pragma once

#include <span>

#include "swarm/metainfo/piece_roots.h"

namespace swarmfs::metainfo {

/// True if the bytes, one whole piece in order, match every hash known for it: SHA-1 for v1, the
/// merkle root for v2, both for a hybrid whose root is known. Any thread.
bool verify_piece(const PieceRoots& roots, PieceIndex piece, std::span<const ByteView> bytes);

}  // namespace swarmfs::metainfo
