// Packets of the UDP tracker protocol, in both directions.
#include <cstddef>
#include <cstdint>

#include "swarm/wire/tracker_udp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  const ByteView packet(data, size);
  if (const auto request = wire::decode_udp_request(packet)) {
    const Bytes again = std::visit([](const auto& r) { return wire::encode(r); }, *request);
    const auto back = wire::decode_udp_request(again);
    if (!back || *back != *request) __builtin_trap();
  }
  for (const auto family : {wire::Family::v4, wire::Family::v6})
    (void)wire::decode_udp_response(packet, family);
  return 0;
}
