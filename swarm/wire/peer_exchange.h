// ut_pex (BEP 11): whom the sender of a message is connected to, and whom no longer.
#pragma once

#include <cstdint>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

/// What its teller says of a peer, a bit each (BEP 11).
namespace pex_flags {
inline constexpr std::uint8_t kEncryption = 0x01;
inline constexpr std::uint8_t kSeed = 0x02;
inline constexpr std::uint8_t kUtp = 0x04;
inline constexpr std::uint8_t kHolepunch = 0x08;
inline constexpr std::uint8_t kReachable = 0x10;  ///< the teller connected to it, not the reverse
}  // namespace pex_flags

struct PexPeer {
  Endpoint endpoint;
  std::uint8_t flags = 0;
  bool operator==(const PexPeer&) const = default;
};

struct PexMessage {
  std::vector<PexPeer> added;
  std::vector<Endpoint> dropped;
  bool operator==(const PexMessage&) const = default;
};

/// The bencoded payload. What is empty is left out but for `added`, which some clients insist on.
Bytes encode(const PexMessage& message);

/// IPv4 peers first, each family in its order. A list that ends within an address is taken up to
/// there; flags that do not match the addresses in number count as none, as in libtorrent. Error
/// (protocol) only if `payload` does not start with a bencoded dictionary of moderate size.
Result<PexMessage> parse_pex(ByteView payload);

}  // namespace swarmfs::wire
