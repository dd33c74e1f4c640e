// Frames for the tests of the switch: TCP segments and super-frames with known bytes.
#pragma once

#include <cstdint>

#include "tests/netlab/switch/frame.h"

namespace swarmfs::netlab {

/// A TCP frame over IPv4 or IPv6, as a kernel hands it to a device that cuts it up: `payload`
/// bytes counting up from 0, `mss` of them in each packet. Sequence number 1000, IP number 7,
/// flags ACK, PSH, FIN and CWR. From station `from` to station `to` (see station()).
Frame tcp_frame(std::size_t payload, std::uint16_t mss = 1448, bool ipv6 = false,
                std::uint8_t from = 1, std::uint8_t to = 2);

/// A packet of `size` bytes, at least 14, that is not TCP. `to` 0xFF is broadcast.
Frame small_frame(std::size_t size, std::uint8_t from = 1, std::uint8_t to = 2);

/// Bytes of the headers of tcp_frame.
inline constexpr std::size_t kHeaders4 = 14 + 20 + 32;
inline constexpr std::size_t kHeaders6 = 14 + 40 + 32;

}  // namespace swarmfs::netlab
