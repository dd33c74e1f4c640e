// Blocks: 16 KiB of content, immutable once shared, counted by reference.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "swarm/base/bytes.h"

namespace swarmfs {

/// The unit peers request and v2 leaves hash (BEP 3, BEP 52).
inline constexpr std::uint32_t kBlockSize = 16 * 1024;

/// Content of one block. Filled by its one owner, then shared as BlockPtr and never written again.
struct Block {
  std::uint32_t size = 0;  ///< 1..kBlockSize bytes in use
  std::array<std::uint8_t, kBlockSize> data;

  ByteView view() const { return {data.data(), size}; }
};

/// Shared across threads (network, disk pool, FUSE readers), whoever is last frees it.
using BlockPtr = std::shared_ptr<const Block>;

}  // namespace swarmfs
