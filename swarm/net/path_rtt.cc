#include "swarm/net/path_rtt.h"

// Not <netinet/tcp.h>, whose tcp_info ends before the field that is wanted here.
#include <linux/tcp.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace swarmfs::net {

std::optional<PathRtt> path_rtt(int socket) {
  constexpr int kTcp = 6;  // IPPROTO_TCP, of a header that clashes with the one above
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, kTcp, TCP_INFO, &info, &size) != 0) return std::nullopt;
  if (size < offsetof(tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt) return std::nullopt;
  constexpr std::uint32_t kNone = ~0U;
  if (info.tcpi_min_rtt == 0 || info.tcpi_min_rtt == kNone) return std::nullopt;
  return PathRtt{std::chrono::microseconds(info.tcpi_min_rtt),
                 std::chrono::microseconds(info.tcpi_rtt)};
}

}  // namespace swarmfs::net
