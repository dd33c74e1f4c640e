// What tests of the PeerBook dial.
#pragma once

#include <cstdint>
#include <vector>

#include "swarm/engine/peer_book.h"

namespace swarmfs::engine {

/// Distinct public addresses.
inline Endpoint nth(unsigned i) {
  return {IpAddress::v4({50, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                         static_cast<std::uint8_t>(i)}),
          6881};
}

/// Everything that may be dialled at `now`, with no connections to begin with.
inline std::vector<Endpoint> dial_all(PeerBook& book, TimePoint now) {
  std::vector<Endpoint> out;
  while (const auto endpoint = book.next_dial(now, 0, 0)) out.push_back(*endpoint);
  return out;
}

}  // namespace swarmfs::engine
