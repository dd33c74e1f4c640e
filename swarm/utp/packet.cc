#include "swarm/utp/packet.h"

#include <algorithm>

namespace swarmfs::utp {

static constexpr std::uint8_t kVersion = 1;
static constexpr std::uint8_t kNoExtension = 0;
static constexpr std::uint8_t kSelectiveAck = 1;

std::optional<Packet> parse_packet(ByteView datagram) {
  if (datagram.size() < kHeaderSize) return std::nullopt;
  const std::uint8_t* p = datagram.data();
  if ((p[0] & 0x0f) != kVersion || p[0] >> 4 > static_cast<int>(PacketType::syn))
    return std::nullopt;
  Packet packet;
  packet.type = static_cast<PacketType>(p[0] >> 4);
  packet.connection = load_be<std::uint16_t>(p + 2);
  packet.timestamp_us = load_be<std::uint32_t>(p + 4);
  packet.timestamp_difference_us = load_be<std::uint32_t>(p + 8);
  packet.window = load_be<std::uint32_t>(p + 12);
  packet.seq = load_be<std::uint16_t>(p + 16);
  packet.ack = load_be<std::uint16_t>(p + 18);
  ByteView rest = datagram.subspan(kHeaderSize);
  for (std::uint8_t kind = p[1]; kind != kNoExtension;) {
    if (rest.size() < 2 || rest.size() - 2 < rest[1]) return std::nullopt;
    const ByteView body = rest.subspan(2, rest[1]);
    // BEP 29 wants a multiple of four bytes; libtorrent sends as many as it needs.
    if (kind == kSelectiveAck) packet.selective_ack = body;
    kind = rest[0];
    rest = rest.subspan(2 + body.size());
  }
  packet.payload = rest;
  return packet;
}

std::size_t write_packet_head(MutableByteView out, const Packet& packet) {
  std::uint8_t* p = out.data();
  p[0] = static_cast<std::uint8_t>(static_cast<unsigned>(packet.type) << 4 | kVersion);
  p[1] = packet.selective_ack.empty() ? kNoExtension : kSelectiveAck;
  store_be<std::uint16_t>(p + 2, packet.connection);
  store_be<std::uint32_t>(p + 4, packet.timestamp_us);
  store_be<std::uint32_t>(p + 8, packet.timestamp_difference_us);
  store_be<std::uint32_t>(p + 12, packet.window);
  store_be<std::uint16_t>(p + 16, packet.seq);
  store_be<std::uint16_t>(p + 18, packet.ack);
  if (packet.selective_ack.empty()) return kHeaderSize;
  p[kHeaderSize] = kNoExtension;
  p[kHeaderSize + 1] = static_cast<std::uint8_t>(packet.selective_ack.size());
  std::copy(packet.selective_ack.begin(), packet.selective_ack.end(), p + kHeaderSize + 2);
  return kHeaderSize + 2 + packet.selective_ack.size();
}

}  // namespace swarmfs::utp
