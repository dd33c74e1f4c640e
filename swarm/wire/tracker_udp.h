// The UDP tracker protocol, both ways, without sockets (BEP 15, URL data of BEP 41).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "swarm/base/result.h"
#include "swarm/wire/tracker.h"

namespace swarmfs::wire {

struct UdpConnectRequest {
  std::uint32_t transaction = 0;
  bool operator==(const UdpConnectRequest&) const = default;
};
struct UdpAnnounceRequest {
  std::uint64_t connection = 0;
  std::uint32_t transaction = 0;
  AnnounceRequest announce;
  std::string url_data;  ///< BEP 41: path and query of the announce URL
  bool operator==(const UdpAnnounceRequest&) const = default;
};
struct UdpScrapeRequest {
  std::uint64_t connection = 0;
  std::uint32_t transaction = 0;
  std::vector<Sha1Hash> hashes;  ///< 1..kMaxScrapeHashes
  bool operator==(const UdpScrapeRequest&) const = default;
};
using UdpTrackerRequest = std::variant<UdpConnectRequest, UdpAnnounceRequest, UdpScrapeRequest>;

struct UdpConnectResponse {
  std::uint32_t transaction = 0;
  std::uint64_t connection = 0;
  bool operator==(const UdpConnectResponse&) const = default;
};
struct UdpAnnounceResponse {
  std::uint32_t transaction = 0;
  AnnounceResponse announce;
  bool operator==(const UdpAnnounceResponse&) const = default;
};
struct UdpScrapeResponse {
  std::uint32_t transaction = 0;
  std::vector<ScrapeEntry> entries;  ///< in the order asked; their hashes are not on the wire
  bool operator==(const UdpScrapeResponse&) const = default;
};
struct UdpErrorResponse {
  std::uint32_t transaction = 0;
  std::string message;  ///< printable
  bool operator==(const UdpErrorResponse&) const = default;
};
using UdpTrackerResponse =
    std::variant<UdpConnectResponse, UdpAnnounceResponse, UdpScrapeResponse, UdpErrorResponse>;

/// Whether the packet travels over IPv4 or IPv6: that alone decides a peer's 6 or 18 bytes.
enum class Family : std::uint8_t { v4, v6 };

Bytes encode(const UdpConnectRequest& request);
Bytes encode(const UdpAnnounceRequest& request);
Bytes encode(const UdpScrapeRequest& request);
Result<UdpTrackerRequest> decode_udp_request(ByteView packet);

Bytes encode(const UdpConnectResponse& response);
/// Peers of the other family are left out.
Bytes encode(const UdpAnnounceResponse& response, Family family);
Bytes encode(const UdpScrapeResponse& response);
Bytes encode(const UdpErrorResponse& response);
/// Errors (protocol) say what is malformed. A tail shorter than one peer is ignored.
Result<UdpTrackerResponse> decode_udp_response(ByteView packet, Family family);

}  // namespace swarmfs::wire
