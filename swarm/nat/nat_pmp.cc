#include "swarm/nat/nat_pmp.h"

#include <algorithm>

namespace swarmfs::nat::nat_pmp {
namespace {

constexpr std::uint8_t kVersion = 0;
constexpr std::uint8_t kAddress = 0;
constexpr std::uint8_t kUdp = 1;
constexpr std::uint8_t kTcp = 2;
constexpr std::uint8_t kResponse = 0x80;
constexpr std::size_t kHeader = 8;

}  // namespace

Bytes encode_address_request() { return {kVersion, kAddress}; }

Bytes encode(const MapRequest& request) {
  Bytes out{kVersion, request.port.protocol == Protocol::tcp ? kTcp : kUdp, 0, 0};
  append_be<std::uint16_t>(out, request.port.number);
  append_be<std::uint16_t>(out, request.suggested);
  append_be<std::uint32_t>(out, request.lifetime_s);
  return out;
}

std::optional<Response> decode(ByteView datagram) {
  if (datagram.size() < kHeader || datagram[0] != kVersion || (datagram[1] & kResponse) == 0)
    return std::nullopt;
  const std::uint8_t* const p = datagram.data();
  Response out;
  out.code = load_be<std::uint16_t>(p + 2);
  out.epoch_s = load_be<std::uint32_t>(p + 4);
  const std::uint8_t operation = p[1] & ~kResponse;
  // An error may be as short as the header (RFC 6886 3.5).
  if (operation == kAddress && datagram.size() >= kHeader + 4) {
    std::array<std::uint8_t, 4> address;
    std::copy_n(p + kHeader, address.size(), address.begin());
    out.what = IpAddress::v4(address);
  } else if ((operation == kUdp || operation == kTcp) && datagram.size() >= kHeader + 8) {
    Response::Map map;
    map.port.protocol = operation == kTcp ? Protocol::tcp : Protocol::udp;
    map.port.number = load_be<std::uint16_t>(p + kHeader);
    map.external = load_be<std::uint16_t>(p + kHeader + 2);
    map.lifetime_s = load_be<std::uint32_t>(p + kHeader + 4);
    out.what = map;
  } else if (out.code == 0) {
    return std::nullopt;
  }
  return out;
}

}  // namespace swarmfs::nat::nat_pmp
