// Packet numbers, which are 16 bits on the wire, as numbers that never wrap.
#pragma once

#include <cstdint>

namespace swarmfs::utp {

/// Numbers of a connection start here, so that those just before the first are no underflow.
inline constexpr std::uint64_t kFirstEpoch = 1U << 16;

/// The number nearest to `near` that has these low 16 bits; `near` is at least 2^15.
constexpr std::uint64_t unwrap(std::uint16_t wire, std::uint64_t near) {
  const auto ahead = static_cast<std::int16_t>(wire - static_cast<std::uint16_t>(near));
  return near + static_cast<std::uint64_t>(static_cast<std::int64_t>(ahead));
}

}  // namespace swarmfs::utp
