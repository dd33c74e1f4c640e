#include "swarm/net/tcp_stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "swarm/base/now.h"
#include "swarm/net/addresses.h"
#include "swarm/net/path_rtt.h"

namespace swarmfs::net {

using boost::asio::ip::tcp;
using boost::system::error_code;

/// From <linux/tcp.h> of 6.15, which Debian 12's headers precede; an older kernel refuses it.
static constexpr int kRtoMaxMs = 44;  // TCP_RTO_MAX_MS

/// Of one write.
static constexpr std::size_t kMostParts = 64;

TcpStream::TcpStream(tcp::socket socket, bool proxied)
    : socket_(std::move(socket)), proxied_(proxied) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  bound_unsent();
  // When the network is back after a while, the connection goes on with the next retransmission,
  // which is up to two minutes away unless we say otherwise. Nor are these to end it: the engine
  // decides for how long a peer may be silent.
  const int patience = 5'000;  // in ms
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, kRtoMaxMs, &patience, sizeof patience);
  const unsigned life = 10 * 60'000;
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &life, sizeof life);
}

/// Beyond what is in flight the kernel takes no more than that.
void TcpStream::bound_unsent() {
  const auto bytes = static_cast<int>(unsent_.bytes());
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

static auto unless_aborted(std::function<void()> ready) {
  return [ready = std::move(ready)](const error_code& ec) {
    if (!ec) ready();
  };
}

void TcpStream::wait_readable(std::function<void()> ready) {
  socket_.async_wait(tcp::socket::wait_read, unless_aborted(std::move(ready)));
}

void TcpStream::wait_writable(std::function<void()> ready) {
  socket_.async_wait(tcp::socket::wait_write, unless_aborted(std::move(ready)));
}

ssize_t TcpStream::read(MutableByteView into) {
  return ::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
}

ssize_t TcpStream::write(std::span<const iovec> parts) {
  // The kernel looks at its bound once a segment, which may be as long as all that it is given: on
  // a slow line it gets no more than the bound at a time.
  const bool fast = unsent_.bytes() == UnsentBound::kMost;
  const std::size_t most = fast ? SIZE_MAX : unsent_.bytes();
  std::size_t all = 0;
  for (const iovec& part : parts) all += part.iov_len;
  std::size_t taken = 0;
  ssize_t n = 0;
  do {
    std::array<iovec, kMostParts> some;
    std::size_t offered = 0, count = 0, skip = taken;
    for (const iovec& part : parts) {
      const std::size_t cut = std::min(skip, part.iov_len);
      skip -= cut;
      const std::size_t length = std::min(part.iov_len - cut, most - offered);
      if (length == 0 || count == some.size()) continue;
      some[count++] = {static_cast<char*>(part.iov_base) + cut, length};
      offered += length;
    }
    msghdr message{};
    message.msg_iov = some.data();
    message.msg_iovlen = count;
    n = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    taken += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    if (n < static_cast<ssize_t>(offered)) break;
  } while (taken < all);
  const int error = errno;
  const bool broken = n < 0 && error != EAGAIN && error != EWOULDBLOCK;
  if (!broken && unsent_.on_write(taken, taken == all, now())) bound_unsent();
  errno = error;
  return taken > 0 ? static_cast<ssize_t>(taken) : n;
}

std::optional<PathRtt> TcpStream::path_rtt() {
  if (proxied_) return std::nullopt;
  return net::path_rtt(socket_.native_handle());
}

PeerLink TcpStream::link() const {
  PeerLink link;
  error_code gone;
  const auto local = socket_.local_endpoint(gone);
  if (!gone) link.local = from_asio(local).address;
  return link;
}

void TcpStream::close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace swarmfs::net
