// What a gateway may say: answers and announcements of PCP and NAT-PMP, in any order and at any
// time, and tables of routes.
#include <cstddef>
#include <cstdint>

#include "swarm/nat/default_route.h"
#include "swarm/nat/gateway_client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  const ByteView all(data, size);
  static_cast<void>(nat::default_route_v4(as_text(all)));
  static_cast<void>(nat::default_route_v6(as_text(all)));
  nat::GatewayClient::Config config;
  config.client =
      size % 2 == 0 ? IpAddress::v4({192, 168, 1, 7}) : *IpAddress::parse("2001:db8::7");
  config.ports = {{nat::Protocol::tcp, 6881}, {nat::Protocol::udp, 6881}};
  std::size_t sent = 0, events = 1;
  Bytes last;
  nat::GatewayClient client(config, [&](ByteView datagram) {
    last.assign(datagram.begin(), datagram.end());
    ++sent;
  });
  TimePoint now = TimePoint{} + std::chrono::hours(1);
  client.start(now);
  // A byte for what happens, one for how long after, one for a datagram's size.
  for (ByteView rest = all; rest.size() >= 3; ++events) {
    now += std::chrono::milliseconds(100) * rest[1];
    const std::size_t n = std::min<std::size_t>(rest[2], rest.size() - 3);
    Bytes datagram(rest.begin() + 3, rest.begin() + 3 + static_cast<std::ptrdiff_t>(n));
    // Half of the time an answer to what was asked, with some bytes changed.
    if ((rest[0] & 4) != 0 && last.size() > 1) {
      Bytes answer = last;
      answer[1] |= 0x80;
      for (std::size_t i = 0; i + 1 < n; i += 2)
        answer[datagram[i] % answer.size()] = datagram[i + 1];
      datagram = answer;
    }
    switch (rest[0] % 4) {
      case 0:
      case 1:
        client.on_datagram(datagram, now);
        break;
      case 2:
        client.on_announcement(datagram, now);
        break;
      case 3:
        client.on_timer(now);
        break;
    }
    if (rest[0] == 0xff) client.release(now);
    if (client.external(0) && client.external(0)->port == 0) __builtin_trap();
    rest = rest.subspan(3 + n);
  }
  // Nobody is made to send more than a little for each thing that happens.
  if (sent > 12 * events) __builtin_trap();
  return 0;
}
