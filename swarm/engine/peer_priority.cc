#include "swarm/engine/peer_priority.h"

#include <algorithm>

#include "swarm/base/bytes.h"
#include "swarm/base/crc32c.h"

namespace swarmfs::engine {
namespace {

constexpr std::uint8_t kPartialMask = 0x55;

/// How many leading bytes count in full: the network part (/16 or /48), and when the addresses
/// share that, one byte more than they have in common (BEP 40: same /16, same /24, "etc.").
std::size_t whole_bytes(ByteView a, ByteView b) {
  const std::size_t network = a.size() == 4 ? 2 : 6;
  const auto differ = std::mismatch(a.begin(), a.end(), b.begin()).first;
  const auto common = static_cast<std::size_t>(differ - a.begin());
  return common < network ? network : common + 1;
}

Bytes masked(ByteView address, std::size_t whole) {
  Bytes out(address.begin(), address.end());
  for (std::size_t i = whole; i < out.size(); ++i) out[i] &= kPartialMask;
  return out;
}

std::uint32_t hash_sorted(Bytes low, Bytes high) {
  if (high < low) std::swap(low, high);
  append(low, high);
  return crc32c(low);
}

Bytes port_bytes(std::uint16_t port) {
  Bytes out;
  append_be(out, port);
  return out;
}

}  // namespace

std::uint32_t peer_priority(const Endpoint& a, const Endpoint& b) {
  if (a.address == b.address) return hash_sorted(port_bytes(a.port), port_bytes(b.port));
  if (a.address.is_v4() != b.address.is_v4()) return 0;
  const ByteView x = a.address.bytes();
  const ByteView y = b.address.bytes();
  const std::size_t whole = whole_bytes(x, y);
  return hash_sorted(masked(x, whole), masked(y, whole));
}

}  // namespace swarmfs::engine
