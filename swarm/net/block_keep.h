// The port to whatever holds verified blocks in memory.
#pragma once

#include <cstdint>

#include "swarm/base/block.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::net {

/// Verified blocks in memory, of one torrent. Thread-safe, never waits.
class BlockKeep {
 public:
  virtual ~BlockKeep() = default;
  /// Keeps a block that is not on disk yet; it stays until release() of its piece.
  virtual void put(PieceIndex piece, std::uint32_t block, BlockPtr data) = 0;
  /// The block, or null if it is not in memory.
  virtual BlockPtr get(PieceIndex piece, std::uint32_t block) = 0;
  /// The piece's blocks are on disk, or given up: they may be evicted.
  virtual void release(PieceIndex piece) = 0;
};

}  // namespace swarmfs::net
