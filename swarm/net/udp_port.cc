#include "swarm/net/udp_port.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {

using asio::ip::udp;
using boost::system::error_code;

namespace {

constexpr unsigned kBatch = 16;
/// Batches in one turn of the loop, so that a flood leaves time for everything else.
constexpr unsigned kBatchesPerTurn = 4;

/// The kernel may hand over as one what came together from one sender (UDP_GRO).
constexpr std::size_t kLargestTrain = 64 << 10;
/// UDP_MAX_SEGMENTS of older kernels.
constexpr std::size_t kMostSegments = 64;

/// Room for a batch. One for all ports of the thread: a port at rest costs no buffer.
struct Batch {
  std::array<std::array<std::uint8_t, kLargestTrain>, kBatch> bytes;
  std::array<std::array<std::uint8_t, CMSG_SPACE(sizeof(int))>, kBatch> controls;
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
      messages[i].msg_hdr.msg_control = controls[i].data();
      messages[i].msg_hdr.msg_controllen = controls[i].size();
    }
  }
  /// The size of the datagrams in it, of which the last may be smaller.
  std::size_t datagram_size(unsigned i) {
    msghdr& header = messages[i].msg_hdr;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      int size = 0;
      if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
      std::memcpy(&size, CMSG_DATA(c), sizeof size);
      if (size > 0) return static_cast<std::size_t>(size);
    }
    return messages[i].msg_len;
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
  const int on = 1;
  ::setsockopt(socket.native_handle(), SOL_UDP, UDP_GRO, &on, sizeof on);
  // Where a path is narrower than what we send, the network cuts it: there are paths that do not
  // say so.
  const int no_discovery = IP_PMTUDISC_DONT;
  if (local.address.is_v4())
    ::setsockopt(socket.native_handle(), IPPROTO_IP, IP_MTU_DISCOVER, &no_discovery,
                 sizeof no_discovery);
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
  // Not of static storage, of which every thread of the process would get its own at its start.
  static thread_local const auto room = std::make_unique_for_overwrite<Batch>();
  Batch& batch = *room;
  const auto alive = std::weak_ptr(alive_);
  for (unsigned turn = 0; turn < kBatchesPerTurn; ++turn) {
    batch.prepare();
    const int got = ::recvmmsg(socket_.native_handle(), batch.messages.data(), kBatch, 0, nullptr);
    for (int i = 0; i < got; ++i) {
      const auto n = static_cast<unsigned>(i);
      const mmsghdr& message = batch.messages[n];
      if (message.msg_len == 0 || (message.msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
      const Endpoint from = from_native(batch.from[n]);
      const std::size_t size = batch.datagram_size(n);
      MutableByteView left = MutableByteView(batch.bytes[n]).first(message.msg_len);
      while (!left.empty()) {
        const MutableByteView datagram = left.first(std::min(size, left.size()));
        left = left.subspan(datagram.size());
        if (datagram.size() <= kLargestDatagram) hand_out(from, datagram);
        if (alive.expired()) return;
      }
    }
    if (got > 0 && on_batch_) on_batch_();
    if (alive.expired()) return;
    if (got < static_cast<int>(kBatch)) break;  // an error as well, which is of one datagram
  }
  wait();
}

void UdpPort::hand_out(const Endpoint& from, MutableByteView datagram) {
  // A copy, which a handler that sets another one does not pull from under itself.
  const Handler handler =
      handlers_[static_cast<std::size_t>(datagram[0] == 'd' ? Kind::dht : Kind::other)];
  if (handler) handler(from, datagram);
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

std::size_t UdpPort::send(const Endpoint& to, std::span<const ByteView> datagrams) {
  std::size_t done = 0;
  while (done < datagrams.size()) {
    // As many as the kernel can cut apart by one size.
    const auto rest = datagrams.subspan(done);
    std::size_t count = 1;
    while (segmentation_ && count < std::min(rest.size(), kMostSegments) &&
           rest[count - 1].size() == rest[0].size() && rest[count].size() <= rest[0].size() &&
           (count + 1) * rest[0].size() < kLargestTrain - 128)
      ++count;
    if (count > 1) {
      if (send_segmented(to, rest.first(count)) >= 0) {
        done += count;
        continue;
      }
      if (errno == EAGAIN || errno == ENOBUFS) return done;
      segmentation_ = false;  // not with this kernel, or not on this way: EIO, EINVAL, EMSGSIZE
    }
    if (!send(to, rest[0])) {
      if (errno == EAGAIN || errno == ENOBUFS) return done;
      // Refused is what an earlier one was answered with; unreachable is as good as lost.
    }
    ++done;
  }
  return done;
}

ssize_t UdpPort::send_segmented(const Endpoint& to, std::span<const ByteView> datagrams) {
  std::array<iovec, kMostSegments> parts;
  for (std::size_t i = 0; i < datagrams.size(); ++i)
    parts[i] = {const_cast<std::uint8_t*>(datagrams[i].data()), datagrams[i].size()};
  sockaddr_storage address;
  msghdr message{};
  message.msg_namelen = to_native(to, address);
  message.msg_name = &address;
  message.msg_iov = parts.data();
  message.msg_iovlen = datagrams.size();
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const auto size = static_cast<std::uint16_t>(datagrams[0].size());
  std::memcpy(CMSG_DATA(header), &size, sizeof size);
  return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
}

}  // namespace swarmfs::net
