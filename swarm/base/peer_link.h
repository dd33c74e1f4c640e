// What carries the bytes of a connection to a peer.
#pragma once

#include <optional>
#include <string_view>

#include "swarm/base/endpoint.h"

namespace swarmfs {

struct PeerLink {
  std::string_view transport = "tcp";  ///< a literal: "tcp", "utp"
  bool encrypted = false;              ///< MSE, in RC4
  std::optional<IpAddress> local{};    ///< our own address of it, if it is bound to one
};

}  // namespace swarmfs
