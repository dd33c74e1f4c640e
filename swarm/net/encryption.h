// What the user wants of encryption (MSE).
#pragma once

#include <cstdint>

namespace swarmfs::net {

/// Peers of both kinds are taken with `prefer`, and RC4 chosen where they offer it; see
/// ways_to_dial() for who is dialled how.
enum class Encryption : std::uint8_t {
  prefer,
  require,  ///< not a plain byte in or out
  forbid,   ///< no MSE at all
};

}  // namespace swarmfs::net
