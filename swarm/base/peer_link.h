// What carries the bytes of a connection to a peer, for people.
#pragma once

#include <string_view>

namespace swarmfs {

struct PeerLink {
  std::string_view transport = "tcp";  ///< a literal: "tcp", "utp"
  bool encrypted = false;              ///< MSE, in RC4
};

}  // namespace swarmfs
