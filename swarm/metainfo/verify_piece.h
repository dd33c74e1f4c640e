// Whether the bytes of a piece are right.
#pragma once

#include <span>

#include "swarm/metainfo/piece_roots.h"

namespace swarmfs::metainfo {

/// `contradiction`: the bytes match one hash of a hybrid's piece and not the other. No bytes can
/// match both, so the manifest is at fault, and not who sent them.
enum class PieceCheck : std::uint8_t { good, bad, contradiction };

/// Compares the bytes, one whole piece in order, with every hash known for it: SHA-1 for v1; for v2
/// the merkle root, and zeros where a hybrid has a pad; both for a hybrid whose root is known. A v2
/// piece whose root is not known is bad. Any thread.
PieceCheck verify_piece(const PieceRoots& roots, PieceIndex piece, std::span<const ByteView> bytes);

}  // namespace swarmfs::metainfo
