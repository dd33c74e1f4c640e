#include "tests/netlab/switch/mac_table.h"

namespace swarmfs::netlab {
namespace {

constexpr std::size_t kAddressBytes = 6;

std::uint64_t address(std::span<const std::uint8_t> frame, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kAddressBytes; ++i) value = value << 8 | frame[at + i];
  return value;
}

/// Multicast, and so broadcast too.
bool is_group(std::uint64_t mac) { return (mac >> 40 & 1) != 0; }

}  // namespace

void MacTable::learn(std::span<const std::uint8_t> frame, PortIndex from) {
  if (frame.size() < 2 * kAddressBytes) return;
  const std::uint64_t source = address(frame, kAddressBytes);
  if (is_group(source)) return;
  const auto known = ports_.find(source);
  if (known != ports_.end()) {
    known->second = from;
  } else if (ports_.size() < kMost) {
    ports_.emplace(source, from);
  }
}

std::optional<PortIndex> MacTable::find(std::span<const std::uint8_t> frame) const {
  if (frame.size() < kAddressBytes) return std::nullopt;
  const auto known = ports_.find(address(frame, 0));
  if (known == ports_.end()) return std::nullopt;
  return known->second;
}

}  // namespace swarmfs::netlab
