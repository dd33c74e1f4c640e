// Which Ethernet address is behind which port: learned from senders, as a switch does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>

namespace swarmfs::netlab {

/// The number of a port on the switch, from 0, in the order in which they were added.
using PortIndex = std::size_t;

class MacTable {
 public:
  /// Addresses that are remembered; those beyond are flooded, so that no sender can fill the
  /// memory.
  static constexpr std::size_t kMost = 4096;

  /// The sender of this frame is behind `from`, from now on.
  void learn(std::span<const std::uint8_t> frame, PortIndex from);

  /// The one port for which the frame is, or nothing: then it is for all but its sender's.
  std::optional<PortIndex> find(std::span<const std::uint8_t> frame) const;

 private:
  std::unordered_map<std::uint64_t, PortIndex> ports_;
};

}  // namespace swarmfs::netlab
