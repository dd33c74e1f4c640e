#include "swarm/engine/connection_room.h"

#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/crc32c.h"

namespace swarmfs::engine {

std::uint32_t pair_rank(const wire::ClientId& a, const wire::ClientId& b) {
  Bytes both;
  append(both, std::min(a, b));
  append(both, std::max(a, b));
  return crc32c(both);
}

unsigned fair_share(std::span<const unsigned> connections, unsigned most) {
  std::vector<unsigned> sorted(connections.begin(), connections.end());
  std::sort(sorted.begin(), sorted.end());
  unsigned left = most, share = most;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    share = left / static_cast<unsigned>(sorted.size() - i);
    if (sorted[i] > share) return share;  // and so have all that follow
    left -= sorted[i];
  }
  return most;
}

}  // namespace swarmfs::engine
