// The packets of uTP (BEP 29) as bytes: pure, in both directions.
#pragma once

#include <cstdint>
#include <optional>

#include "swarm/base/bytes.h"

namespace swarmfs::utp {

/// BEP 29: type.
enum class PacketType : std::uint8_t { data, fin, state, reset, syn };

inline constexpr std::size_t kHeaderSize = 20;
/// The longest selective ack we send or look at: it speaks of 2016 packets.
inline constexpr std::size_t kMaxSelectiveAck = 252;

struct Packet {
  PacketType type = PacketType::state;
  std::uint16_t connection = 0;
  std::uint32_t timestamp_us = 0;             ///< the sender's clock when it left
  std::uint32_t timestamp_difference_us = 0;  ///< how long the sender's last packet from us took
  std::uint32_t window = 0;                   ///< bytes that the sender has room for
  std::uint16_t seq = 0;
  std::uint16_t ack = 0;
  /// BEP 29: bit 0 of byte 0 is ack + 2. Empty: there is none; else a multiple of 4 bytes.
  ByteView selective_ack;
  ByteView payload;
};

/// A view of a datagram's parts, or nothing if it is no packet of version 1: too short, of unknown
/// type, an extension that goes past the end, a selective ack whose length the BEP does not allow.
/// Other extensions are skipped.
std::optional<Packet> parse_packet(ByteView datagram);

/// Writes header and selective ack, not the payload; returns how many bytes these are.
/// `out` must have room for kHeaderSize, and with a selective ack for that and 2 bytes more.
std::size_t write_packet_head(MutableByteView out, const Packet& packet);

}  // namespace swarmfs::utp
