// Proxies: their URLs, and their answers, cut into pieces as the first byte says.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "swarm/wire/proxy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  if (size == 0) return 0;
  const ByteView bytes = ByteView(data, size).subspan(1);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto url = wire::ProxyUrl::parse(text)) {
    const auto again = wire::ProxyUrl::parse(url->redacted());
    if (!again || again->host != url->host || again->port != url->port) __builtin_trap();
  }
  if (const auto datagram = wire::decode_socks_udp(bytes)) {
    const Bytes header = wire::socks_udp_header(wire::ProxyTarget(datagram->from));
    // A v4-mapped address is said again as what it is.
    if (header.size() > datagram->header) __builtin_trap();
  }
  const auto kind = data[0] % 2 == 0 ? wire::ProxyUrl::Kind::socks5 : wire::ProxyUrl::Kind::http;
  const char* const user = data[0] % 4 < 2 ? "" : "user";
  wire::ProxyDialogue dialogue({kind, "192.0.2.1", 1080, user, "password"},
                               wire::ProxyDialogue::Command::connect, {"198.51.100.7", 80});
  std::size_t at = 0;
  while (at < bytes.size() && !dialogue.done()) {
    if (dialogue.wanted() == 0) __builtin_trap();  // it would wait for ever
    const std::size_t n =
        std::min({dialogue.wanted(), bytes.size() - at, std::size_t{1} + data[0] / 4});
    if (!dialogue.feed(bytes.subspan(at, n))) return 0;
    at += n;
    if (at > wire::ProxyDialogue::kMaxHead + 1024) __builtin_trap();
  }
  return 0;
}
