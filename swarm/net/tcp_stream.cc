#include "swarm/net/tcp_stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "swarm/net/addresses.h"
#include "swarm/net/path_rtt.h"

namespace swarmfs::net {

using boost::asio::ip::tcp;
using boost::system::error_code;

/// From <linux/tcp.h> of 6.15, which Debian 12's headers precede; an older kernel refuses it.
static constexpr int kRtoMaxMs = 44;  // TCP_RTO_MAX_MS

TcpStream::TcpStream(tcp::socket socket, bool proxied)
    : socket_(std::move(socket)), proxied_(proxied) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  // What the kernel has taken cannot be cancelled or overtaken by something more urgent: beyond
  // what is in flight it takes little.
  const int unsent = 128 * 1024;
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  // When the network is back after a while, the connection goes on with the next retransmission,
  // which is up to two minutes away unless we say otherwise.
  const int patience = 5'000;  // in ms
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, kRtoMaxMs, &patience, sizeof patience);
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
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  return ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::optional<Duration> TcpStream::path_rtt() {
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
