#include "swarm/wire/handshake.h"

#include <algorithm>
#include <string_view>

namespace swarmfs::wire {

static constexpr std::string_view kProtocol =
    "\x13"
    "BitTorrent protocol";

ByteView protocol_name() { return as_bytes(kProtocol); }

void append_handshake(Bytes& out, const Handshake& handshake) {
  append(out, as_bytes(kProtocol));
  std::array<std::uint8_t, 8> reserved{};
  if (handshake.extended) reserved[5] |= 0x10;
  if (handshake.fast) reserved[7] |= 0x04;
  if (handshake.v2) reserved[7] |= 0x10;
  if (handshake.dht) reserved[7] |= 0x01;
  append(out, reserved);
  append(out, handshake.info_hash);
  append(out, handshake.peer_id);
}

std::optional<Handshake> parse_handshake(ByteView bytes) {
  if (bytes.size() < kHandshakeSize || as_text(bytes.first(kProtocol.size())) != kProtocol)
    return std::nullopt;
  const ByteView reserved = bytes.subspan(kProtocol.size(), 8);
  Handshake h;
  h.extended = (reserved[5] & 0x10) != 0;
  h.fast = (reserved[7] & 0x04) != 0;
  h.v2 = (reserved[7] & 0x10) != 0;
  h.dht = (reserved[7] & 0x01) != 0;
  std::copy_n(bytes.begin() + 28, 20, h.info_hash.begin());
  std::copy_n(bytes.begin() + 48, 20, h.peer_id.begin());
  return h;
}

}  // namespace swarmfs::wire
