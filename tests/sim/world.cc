#include "tests/sim/world.h"

namespace swarmfs::sim {

double World::copies_sent(unsigned from) const {
  std::uint64_t bytes = 0;
  for (const SentBlock& block : sent)
    if (block.from == from)
      bytes += content->layout().block_size(block.piece, block.begin / kBlockSize);
  return static_cast<double>(bytes) / static_cast<double>(content->size());
}

}  // namespace swarmfs::sim
