#include "swarm/wire/allowed_fast.h"

#include <algorithm>

namespace swarmfs::wire {
namespace {

/// The address with its host part cleared, then the info hash: what the chain of hashes starts on.
Bytes chain_start(const IpAddress& address, const Sha1Hash& info_hash) {
  const ByteView bytes = address.bytes();
  Bytes start(bytes.begin(), bytes.end());
  const std::size_t network = address.is_v4() ? 3 : 8;
  std::fill(start.begin() + static_cast<std::ptrdiff_t>(network), start.end(), std::uint8_t{0});
  append(start, info_hash);
  return start;
}

}  // namespace

std::vector<PieceIndex> allowed_fast_set(const IpAddress& address, const Sha1Hash& info_hash,
                                         std::uint32_t pieces, std::uint32_t count) {
  std::vector<PieceIndex> set;
  if (pieces <= count) {
    // The chain might take very long to hit the last of them.
    for (PieceIndex piece; piece.value < pieces; ++piece) set.push_back(piece);
    return set;
  }
  set.reserve(count);
  Sha1Hash link = sha1(chain_start(address, info_hash));
  for (; set.size() < count; link = sha1(link)) {
    for (std::size_t at = 0; at < link.size() && set.size() < count; at += 4) {
      const PieceIndex piece(load_be<std::uint32_t>(link.data() + at) % pieces);
      if (std::find(set.begin(), set.end(), piece) == set.end()) set.push_back(piece);
    }
  }
  return set;
}

}  // namespace swarmfs::wire
