// The Port Control Protocol (RFC 6887), of which a client needs MAP alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/nat/mapping.h"

namespace swarmfs::nat::pcp {

/// RFC 6887 19.1: where servers listen, and where clients hear of a server's restart, multicast to
/// all hosts of the link. NAT-PMP has the same two.
inline constexpr std::uint16_t kServerPort = 5351;
inline constexpr std::uint16_t kClientPort = 5350;

/// RFC 6887 11.1: whoever knows it may change the mapping, so it is random, and kept.
using Nonce = std::array<std::uint8_t, 12>;

/// RFC 6887 7.4; values that are not named here are errors as well.
enum class Code : std::uint8_t {
  success = 0,
  unsupported_version = 1,
  not_authorized = 2,
  network_failure = 7,
  no_resources = 8,
};

struct MapRequest {
  IpAddress client;  ///< where the request comes from, as the server sees it
  Nonce nonce{};
  Port port;
  std::uint32_t lifetime_s = 0;  ///< 0 ends the mapping
  Endpoint suggested;            ///< what is wanted, of the client's family; unspecified: any
};
/// 60 bytes (RFC 6887 11.1).
Bytes encode(const MapRequest& request);

/// RFC 6887 7.2; `map` only if the answer is one to MAP.
struct Response {
  std::uint8_t version = 0;
  Code code = Code::success;
  std::uint32_t lifetime_s = 0;  ///< of an error: how long it will last
  std::uint32_t epoch_s = 0;
  struct Map {
    Nonce nonce{};
    Port port;
    Endpoint external;
  };
  std::optional<Map> map;
};
/// Nothing if it is no response of version 2, or shorter than it has to be, or of a protocol that
/// is neither TCP nor UDP.
std::optional<Response> decode(ByteView datagram);

}  // namespace swarmfs::nat::pcp
