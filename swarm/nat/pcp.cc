#include "swarm/nat/pcp.h"

#include <algorithm>

namespace swarmfs::nat::pcp {
namespace {

constexpr std::uint8_t kVersion = 2;
constexpr std::uint8_t kMap = 1;
constexpr std::uint8_t kResponse = 0x80;
constexpr std::size_t kHeader = 24;
constexpr std::size_t kMapBody = 36;
constexpr std::size_t kLargest = 1100;  // RFC 6887 7
// IANA's numbers of protocols.
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

/// RFC 6887 5: 16 bytes; IPv4 as v4-mapped IPv6, also the unspecified one.
void append_address(Bytes& out, const IpAddress& address) {
  if (address.is_v4()) {
    out.insert(out.end(), 10, 0);
    out.insert(out.end(), 2, 0xff);
  }
  append(out, address.bytes());
}

IpAddress load_address(const std::uint8_t* p) {
  std::array<std::uint8_t, 16> bytes;
  std::copy_n(p, bytes.size(), bytes.begin());
  return IpAddress::v6(bytes);  // makes IPv4 of a mapped one
}

}  // namespace

Bytes encode(const MapRequest& request) {
  Bytes out{kVersion, kMap, 0, 0};
  append_be<std::uint32_t>(out, request.lifetime_s);
  append_address(out, request.client);
  append(out, request.nonce);
  out.push_back(request.port.protocol == Protocol::tcp ? kTcp : kUdp);
  out.insert(out.end(), 3, 0);
  append_be<std::uint16_t>(out, request.port.number);
  append_be<std::uint16_t>(out, request.suggested.port);
  append_address(out, request.suggested.address);
  return out;
}

std::optional<Response> decode(ByteView datagram) {
  if (datagram.size() < kHeader || datagram.size() > kLargest || datagram.size() % 4 != 0 ||
      datagram[0] != kVersion || (datagram[1] & kResponse) == 0)
    return std::nullopt;
  const std::uint8_t* const p = datagram.data();
  Response out;
  out.version = p[0];
  out.code = Code{p[3]};
  out.lifetime_s = load_be<std::uint32_t>(p + 4);
  out.epoch_s = load_be<std::uint32_t>(p + 8);
  if ((p[1] & ~kResponse) != kMap) return out;
  if (datagram.size() < kHeader + kMapBody) return std::nullopt;
  const std::uint8_t* const body = p + kHeader;
  Response::Map map;
  std::copy_n(body, map.nonce.size(), map.nonce.begin());
  if (body[12] != kTcp && body[12] != kUdp) return std::nullopt;
  map.port.protocol = body[12] == kTcp ? Protocol::tcp : Protocol::udp;
  map.port.number = load_be<std::uint16_t>(body + 16);
  map.external.port = load_be<std::uint16_t>(body + 18);
  map.external.address = load_address(body + 20);
  out.map = map;
  return out;
}

}  // namespace swarmfs::nat::pcp
