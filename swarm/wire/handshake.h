// The 68-byte BitTorrent handshake (BEP 3) and the reserved bits we speak.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "swarm/base/bytes.h"
#include "swarm/base/hash.h"

namespace swarmfs::wire {

using ClientId = std::array<std::uint8_t, 20>;

inline constexpr std::size_t kHandshakeSize = 68;

struct Handshake {
  Sha1Hash info_hash{};  ///< v1, or truncated v2 (BEP 52)
  ClientId peer_id{};
  bool extended = false;  ///< BEP 10: reserved[5] & 0x10
  bool fast = false;      ///< BEP 6: reserved[7] & 0x04
  bool v2 = false;        ///< BEP 52: reserved[7] & 0x10
  bool dht = false;       ///< BEP 5: reserved[7] & 0x01

  bool operator==(const Handshake&) const = default;
};

/// The 20 bytes that every handshake begins with.
ByteView protocol_name();

void append_handshake(Bytes& out, const Handshake& handshake);
/// `bytes` must hold kHandshakeSize bytes; nothing if the protocol name is not BitTorrent's.
std::optional<Handshake> parse_handshake(ByteView bytes);

}  // namespace swarmfs::wire
