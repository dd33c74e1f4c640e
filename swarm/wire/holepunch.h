// ut_holepunch (BEP 55): a peer that both are connected with introduces two who cannot dial each
// other through their routers.
#pragma once

#include <cstdint>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

struct HolepunchMessage {
  enum class Type : std::uint8_t {
    rendezvous = 0,  ///< to the relay: introduce me to this one
    connect = 1,     ///< from the relay, to both: dial this one, now
    error = 2,       ///< from the relay: I cannot introduce you to this one
  };
  /// BEP 55; others may come, and are errors as well.
  enum class Code : std::uint32_t {
    none = 0,
    no_such_peer = 1,   ///< no such address
    not_connected = 2,  ///< the relay knows nobody there
    no_support = 3,     ///< whoever is there cannot be introduced
    no_self = 4,        ///< that is the relay
  };
  Type type = Type::rendezvous;
  Endpoint endpoint;
  Code code = Code::none;  ///< of errors
  bool operator==(const HolepunchMessage&) const = default;
};

/// The payload of the extended message.
Bytes encode(const HolepunchMessage& message);
/// What comes after the fields is ignored, and a code that is none of an error may be left out:
/// libtorrent does. Error (protocol): too short, or of a type or kind of address that does not
/// exist.
Result<HolepunchMessage> parse_holepunch(ByteView payload);

}  // namespace swarmfs::wire
