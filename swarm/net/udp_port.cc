#include "swarm/net/udp_port.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <utility>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {

using asio::ip::udp;
using boost::system::error_code;

namespace {

constexpr unsigned kBatch = 32;
/// Batches in one turn of the loop, so that a flood leaves time for everything else.
constexpr unsigned kBatchesPerTurn = 4;

/// Room for a batch. One for all ports of the thread: a port at rest costs no buffer.
struct Batch {
  std::array<std::array<std::uint8_t, UdpPort::kLargestDatagram>, kBatch> bytes;
  std::array<sockaddr_storage, kBatch> from;
  std::array<iovec, kBatch> parts;
  std::array<mmsghdr, kBatch> messages;

  void prepare() {
    for (unsigned i = 0; i < kBatch; ++i) {
      parts[i] = {bytes[i].data(), bytes[i].size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &from[i];
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

Endpoint from_native(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    std::array<std::uint8_t, 4> four;
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&in.sin_addr), four.size(), four.begin());
    return {IpAddress::v4(four), ntohs(in.sin_port)};
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
  std::array<std::uint8_t, 16> sixteen;
  std::copy_n(reinterpret_cast<const std::uint8_t*>(&in.sin6_addr), sixteen.size(),
              sixteen.begin());
  return {IpAddress::v6(sixteen), ntohs(in.sin6_port)};
}

socklen_t to_native(const Endpoint& endpoint, sockaddr_storage& out) {
  const ByteView bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(out);
    in = {};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(&in.sin_addr));
    return sizeof in;
  }
  auto& in = reinterpret_cast<sockaddr_in6&>(out);
  in = {};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(endpoint.port);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(&in.sin6_addr));
  return sizeof in;
}

}  // namespace

Result<std::unique_ptr<UdpPort>> UdpPort::open(asio::any_io_executor executor,
                                               const Endpoint& local) {
  const udp::endpoint where = to_asio<udp>(local);
  udp::socket socket(std::move(executor));
  error_code error, ignored;
  socket.open(where.protocol(), error);
  // A port per family: each knows its datagrams' family.
  if (!error && !local.address.is_v4()) socket.set_option(asio::ip::v6_only(true), error);
  if (!error) socket.bind(where, error);
  if (!error) socket.non_blocking(true, error);
  if (error) return net_error(error, "cannot listen on " + local.to_string() + " (UDP)");
  socket.set_option(asio::socket_base::receive_buffer_size(kSocketBuffer), ignored);
  socket.set_option(asio::socket_base::send_buffer_size(kSocketBuffer), ignored);
  const Endpoint bound{local.address, socket.local_endpoint(error).port()};
  if (error) return net_error(error, "cannot listen on " + local.to_string() + " (UDP)");
  std::unique_ptr<UdpPort> port(new UdpPort(std::move(socket), bound));
  port->wait();
  return port;
}

UdpPort::UdpPort(udp::socket socket, const Endpoint& local)
    : socket_(std::move(socket)), local_(local) {}

UdpPort::~UdpPort() = default;

void UdpPort::set_handler(Kind kind, Handler handler) {
  handlers_[static_cast<std::size_t>(kind)] = std::move(handler);
}

void UdpPort::wait() {
  socket_.async_wait(udp::socket::wait_read,
                     [this, alive = std::weak_ptr(alive_)](const error_code& error) {
                       if (!error && !alive.expired()) receive();
                     });
}

void UdpPort::receive() {
  static thread_local Batch batch;
  const auto alive = std::weak_ptr(alive_);
  for (unsigned turn = 0; turn < kBatchesPerTurn; ++turn) {
    batch.prepare();
    const int got = ::recvmmsg(socket_.native_handle(), batch.messages.data(), kBatch, 0, nullptr);
    for (int i = 0; i < got; ++i) {
      const auto n = static_cast<std::size_t>(i);
      const mmsghdr& message = batch.messages[n];
      if (message.msg_len == 0 || (message.msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
      const MutableByteView datagram = MutableByteView(batch.bytes[n]).first(message.msg_len);
      // A copy, which a handler that sets another one does not pull from under itself.
      const Handler handler =
          handlers_[static_cast<std::size_t>(datagram[0] == 'd' ? Kind::dht : Kind::other)];
      if (handler) handler(from_native(batch.from[n]), datagram);
      if (alive.expired()) return;
    }
    if (got > 0 && on_batch_) on_batch_();
    if (alive.expired()) return;
    if (got < static_cast<int>(kBatch)) break;  // an error as well, which is of one datagram
  }
  wait();
}

bool UdpPort::send(const Endpoint& to, std::span<const iovec> parts) {
  sockaddr_storage address;
  msghdr message{};
  message.msg_namelen = to_native(to, address);
  message.msg_name = &address;
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL) >= 0;
}

bool UdpPort::send(const Endpoint& to, ByteView datagram) {
  const iovec part{const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
  return send(to, std::span(&part, 1));
}

}  // namespace swarmfs::net
