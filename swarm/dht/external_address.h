// Our own address as other nodes see it, by vote (BEP 42).
#pragma once

#include <deque>
#include <optional>

#include "swarm/base/endpoint.h"

namespace swarmfs::dht {

/// One liar, or all of one network, changes nothing: an address wins with kQuorum votes of as many
/// networks among the last kRemembered, and more than half of them.
class ExternalAddress {
 public:
  static constexpr std::size_t kRemembered = 24;
  static constexpr std::size_t kQuorum = 4;

  /// A node that answered us says that we are at `seen`. Returns true if that changes current().
  /// Local addresses, which say nothing of the public one, are not counted.
  bool vote(const IpAddress& voter, const IpAddress& seen);
  const std::optional<IpAddress>& current() const { return current_; }

 private:
  struct Vote {
    IpAddress network;
    IpAddress seen;
  };
  std::deque<Vote> votes_;  ///< one a network, newest last
  std::optional<IpAddress> current_;
};

}  // namespace swarmfs::dht
