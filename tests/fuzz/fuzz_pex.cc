// ut_pex messages (BEP 11) from three peers: read, believed within bounds, and told on.
#include <cstdint>
#include <cstdlib>

#include "swarm/engine/peer_exchange.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  engine::PeerExchange exchange;
  TimePoint now = TimePoint{} + std::chrono::hours(1);
  std::size_t learnt = 0;
  for (std::size_t at = 0; at + 3 <= size;) {
    const std::uint8_t who = data[at] % 3;
    const std::size_t length = std::min<std::size_t>(data[at + 1] * 4U, size - at - 3);
    now += std::chrono::milliseconds(data[at + 2]);
    const swarmfs::ByteView bytes(data + at + 3, length);
    at += 3 + length;
    const IpAddress from = IpAddress::v4({20, 0, 0, who});
    exchange.subscribe(PeerId(who), from, true, now);
    if (const auto message = wire::parse_pex(bytes)) {
      const auto again = wire::parse_pex(wire::encode(*message));
      if (!again || again->added.size() != message->added.size() ||
          again->dropped.size() != message->dropped.size())
        std::abort();
      const auto heard = exchange.on_message(PeerId(who), from, *message, now);
      learnt += heard.learnt.size();
      for (const Endpoint& endpoint : heard.learnt) exchange.joined(PeerId(learnt), endpoint, who);
    } else {
      exchange.left(PeerId(who));
    }
    while (const auto due = exchange.next(now))
      if (due->message.added.size() > engine::PeerExchange::kMostAtFirst) std::abort();
  }
  if (learnt > 3 * engine::PeerExchange::kBelievedAtOnce + size) std::abort();
  return 0;
}
