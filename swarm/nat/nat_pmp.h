// The NAT Port Mapping Protocol (RFC 6886): what routers speak that know no PCP. IPv4 alone.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/nat/mapping.h"

namespace swarmfs::nat::nat_pmp {

/// RFC 6886 3.2: two bytes that ask for the external address.
Bytes encode_address_request();

struct MapRequest {
  Port port;
  std::uint16_t suggested = 0;   ///< external port; 0 if the mapping is to end
  std::uint32_t lifetime_s = 0;  ///< 0 ends the mapping
};
/// RFC 6886 3.3: 12 bytes.
Bytes encode(const MapRequest& request);

struct Response {
  std::uint16_t code = 0;  ///< RFC 6886 3.5; 0 is success, 1 that the version is not supported
  std::uint32_t epoch_s = 0;
  struct Map {
    Port port;
    std::uint16_t external = 0;
    std::uint32_t lifetime_s = 0;
  };
  /// The external address, or a mapping; neither in the answer to what the server does not know,
  /// as a request of PCP.
  std::variant<std::monostate, IpAddress, Map> what;
};
/// Nothing if it is no response of version 0, or shorter than it has to be.
std::optional<Response> decode(ByteView datagram);

}  // namespace swarmfs::nat::nat_pmp
