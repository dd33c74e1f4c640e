#include "swarm/metainfo/piece_digest.h"

#include <algorithm>

#include "swarm/base/block.h"

namespace swarmfs::metainfo {

void PieceDigester::update(ByteView bytes) {
  // In cache-sized steps, so that the second hash finds the bytes where the first left them.
  while (!bytes.empty()) {
    const ByteView step = bytes.first(std::min<std::size_t>(bytes.size(), kBlockSize));
    bytes = bytes.subspan(step.size());
    if (want_v1_) v1_.update(step);
    if (want_v2_) v2_.update(step);
  }
}

void PieceDigester::update_pad(ByteView bytes) {
  if (want_v1_) v1_.update(bytes);
}

PieceDigests PieceDigester::finish(unsigned v2_height) {
  PieceDigests digests;
  if (want_v1_) digests.v1 = v1_.finish();
  if (want_v2_) digests.v2 = merkle::root(v2_.finish(), 0, v2_height);
  return digests;
}

}  // namespace swarmfs::metainfo
