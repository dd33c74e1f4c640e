// CRC-32C (Castagnoli), which BEP 40 and BEP 42 use as a hash that every client agrees on.
#pragma once

#include <array>
#include <cstdint>

#include "swarm/base/bytes.h"

namespace swarmfs {

namespace detail {
constexpr std::array<std::uint32_t, 256> make_crc32c_table() {
  constexpr std::uint32_t kReversedPolynomial = 0x82f63b78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kReversedPolynomial : 0);
    table[i] = crc;
  }
  return table;
}
inline constexpr std::array<std::uint32_t, 256> kCrc32cTable = make_crc32c_table();
}  // namespace detail

constexpr std::uint32_t crc32c(ByteView bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::uint8_t byte : bytes)
    crc = (crc >> 8) ^ detail::kCrc32cTable[(crc ^ byte) & 0xff];
  return ~crc;
}

}  // namespace swarmfs
