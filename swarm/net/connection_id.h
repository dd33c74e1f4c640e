// Connection ids of a UDP tracker (BEP 15) that need no memory: keyed digests of address and time.
#pragma once

#include <array>
#include <cstdint>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"

namespace swarmfs::net {

class ConnectionIds {
 public:
  using Secret = std::array<std::uint8_t, 32>;
  explicit ConnectionIds(const Secret& secret) : secret_(secret) {}

  std::uint64_t make(const IpAddress& address, TimePoint now) const;
  /// BEP 15: good for two minutes after it was made, and for the rest of the third at most.
  bool valid(std::uint64_t id, const IpAddress& address, TimePoint now) const;

 private:
  std::uint64_t digest(const IpAddress& address, std::uint64_t minute) const;
  Secret secret_;
};

}  // namespace swarmfs::net
