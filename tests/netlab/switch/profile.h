// What one host's access link is like, as the control socket describes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "tests/netlab/switch/units.h"

namespace swarmfs::netlab {

/// How much may wait for a link: bytes, or as many as the link's rate sends in a time.
using QueueLimit = std::variant<Duration, std::uint64_t>;

/// One host's link to the switch. Delay, jitter and loss count for each direction, so a packet
/// between two hosts meets those of both.
struct Profile {
  BitsPerSecond up = kUnlimited;
  BitsPerSecond down = kUnlimited;
  Duration delay{0};   ///< one way, the least
  Duration jitter{0};  ///< added to delay, drawn evenly from 0 to this for each packet
  double loss = 0;     ///< share of packets, 0 to 1, each drawn alone
  QueueLimit queue = std::chrono::milliseconds(100);  ///< of each direction
  bool reorder = false;  ///< whether jitter may let a packet overtake another of its sender

  /// Changes one property by its name above; throws ControlError.
  void set(std::string_view key, std::string_view value);

  /// All of it as key=value words that set() understands.
  std::string describe() const;
};

}  // namespace swarmfs::netlab
