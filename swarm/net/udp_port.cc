#include "swarm/net/udp_port.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "swarm/base/now.h"
#include "swarm/net/asio_glue.h"
#include "swarm/net/task.h"

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

Result<std::unique_ptr<UdpPort>> UdpPort::open(asio::any_io_executor executor, RoutePtr route,
                                               const Endpoint& local) {
  std::unique_ptr<UdpPort> port(new UdpPort(std::move(executor), std::move(route), local));
  if (port->route_->direct()) {
    if (auto bound = port->rebind(); !bound) return bound.error();
    return port;
  }
  if (!port->route_->has_udp())
    return fail(ErrorKind::unsupported,
                "proxy " + port->route_->proxy_name() + ": takes no datagrams");
  const IpAddress any = local.address.is_v4() ? IpAddress::v4({}) : IpAddress::v6({});
  port->local_ = {any, 0};
  port->associate();
  return port;
}

UdpPort::UdpPort(asio::any_io_executor executor, RoutePtr route, const Endpoint& local)
    : route_(std::move(route)),
      socket_(executor),
      local_(local),
      control_(executor),
      again_(executor),
      rest_(executor) {}

Result<> UdpPort::rebind() {
  error_code error;
  socket_.close(error);
  auto socket = route_->open_udp(socket_.get_executor(), local_);
  if (!socket) return socket.error();
  const auto port = socket->local_endpoint(error).port();
  if (error) return net_error(error, "cannot listen on " + local_.to_string() + " (UDP)");
  local_.port = port;
  take(std::move(*socket));
  return {};
}

/// Speaks over this socket from now on.
void UdpPort::take(udp::socket socket) {
  socket_ = std::move(socket);
  error_code ignored;
  socket_.set_option(asio::socket_base::receive_buffer_size(kSocketBuffer), ignored);
  socket_.set_option(asio::socket_base::send_buffer_size(kSocketBuffer), ignored);
  const int on = 1;
  ::setsockopt(socket_.native_handle(), SOL_UDP, UDP_GRO, &on, sizeof on);
  // Where a path is narrower than what we send, the network cuts it: there are paths that do not
  // say so.
  const int no_discovery = IP_PMTUDISC_DONT;
  ::setsockopt(socket_.native_handle(), IPPROTO_IP, IP_MTU_DISCOVER, &no_discovery,
               sizeof no_discovery);
  wait();
}

// --- through a proxy

void UdpPort::associate() {
  using Made = std::unique_ptr<Route::Association>;
  static constexpr Duration kTime = std::chrono::seconds(10);
  std::function<void(Result<Made>)> done = [this](Result<Made> made) {
    if (!made) return associate_later(made.error().message);
    pause_ = kFirstPause;
    if (!trouble_.empty()) set_trouble({});
    control_ = std::move((*made)->control);
    take(std::move((*made)->relay));
    watch_control();
  };
  associating_ = Task::start<Made>(socket_.get_executor(), kTime + std::chrono::seconds(5),
                                   "proxy " + route_->proxy_name(), Route::associate(route_, kTime),
                                   std::move(done));
}

/// RFC 1928 7: the association ends with the connection that it was asked for on. Nothing more is
/// said there.
void UdpPort::watch_control() {
  control_.async_wait(asio::ip::tcp::socket::wait_read, [this, alive = std::weak_ptr(alive_)](
                                                            const error_code& error) {
    if (alive.expired() || error == asio::error::operation_aborted) return;
    std::array<char, 64> ignored;
    const ssize_t n =
        ::recv(control_.native_handle(), ignored.data(), ignored.size(), MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return watch_control();
    associate_later("proxy " + route_->proxy_name() + " has ended the UDP association");
  });
}

void UdpPort::associate_later(const std::string& why) {
  if (trouble_ != why) set_trouble(why);
  error_code ignored;
  control_.close(ignored);
  socket_.close(ignored);  // datagrams are lost from now on, as on a link that is down
  again_.expires_after(pause_);
  pause_ = std::min(pause_ * 2, kLongestPause);
  again_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& cancelled) {
    if (!cancelled && !alive.expired()) associate();
  });
}

void UdpPort::set_trouble(const std::string& why) {
  trouble_ = why;
  if (on_trouble_) on_trouble_(trouble_);
}

ssize_t UdpPort::send_wrapped(const wire::ProxyTarget& to, std::span<const iovec> parts) {
  static constexpr std::size_t kMostParts = 8;
  Bytes header = wire::socks_udp_header(to);
  std::array<iovec, kMostParts + 1> all;
  all[0] = {header.data(), header.size()};
  std::copy_n(parts.begin(), std::min(parts.size(), kMostParts), all.begin() + 1);
  errno = ENOTCONN;
  if (!socket_.is_open() || parts.size() > kMostParts) return -1;
  msghdr message{};
  message.msg_iov = all.data();
  message.msg_iovlen = 1 + parts.size();
  return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
}

bool UdpPort::send_by_name(const wire::ProxyTarget& to, ByteView datagram) {
  const iovec part{const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
  return !route_->direct() && send_wrapped(to, std::span(&part, 1)) >= 0;
}

// --- datagrams

UdpPort::~UdpPort() {
  if (associating_) associating_->cancel();
}

void UdpPort::set_handler(Kind kind, Handler handler) {
  handlers_[static_cast<std::size_t>(kind)] = std::move(handler);
}

void UdpPort::wait() {
  socket_.async_wait(udp::socket::wait_read, [this, look = ++look_, alive = std::weak_ptr(alive_)](
                                                 const error_code& error) {
    if (!error && !alive.expired() && look == look_) receive();
  });
}

void UdpPort::rest(Duration pause) {
  rest_.expires_after(pause);
  rest_.async_wait([this, look = ++look_, alive = std::weak_ptr(alive_)](const error_code& error) {
    if (!error && !alive.expired() && look == look_) receive();
  });
}

void UdpPort::receive() {
  // Not of static storage, of which every thread of the process would get its own at its start.
  static thread_local const auto room = std::make_unique_for_overwrite<Batch>();
  Batch& batch = *room;
  const auto alive = std::weak_ptr(alive_);
  std::size_t taken = 0;
  int got = 0;
  for (unsigned turn = 0; turn < kBatchesPerTurn; ++turn) {
    batch.prepare();
    got = ::recvmmsg(socket_.native_handle(), batch.messages.data(), kBatch, 0, nullptr);
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
        ++taken;
        if (datagram.size() <= kLargestDatagram) hand_out(from, datagram);
        if (alive.expired()) return;
      }
    }
    if (got > 0 && on_batch_) on_batch_();
    if (alive.expired()) return;
    if (got < static_cast<int>(kBatch)) break;  // an error as well, which is of one datagram
  }
  const Duration pause = pauses_.after(taken, now());
  if (pause > Duration{} && got < static_cast<int>(kBatch)) return rest(pause);
  wait();
}

void UdpPort::hand_out(const Endpoint& sender, MutableByteView datagram) {
  Endpoint from = sender;
  if (!route_->direct()) {
    const auto wrapped = wire::decode_socks_udp(datagram);
    if (!wrapped || wrapped->from.address.is_v4() != local_.address.is_v4()) return;
    from = wrapped->from;
    datagram = datagram.subspan(wrapped->header);
    if (datagram.empty()) return;
  }
  if (route_->blocks(from.address)) return;
  // A copy, which a handler that sets another one does not pull from under itself.
  const Handler handler =
      handlers_[static_cast<std::size_t>(datagram[0] == 'd' ? Kind::dht : Kind::other)];
  if (handler) handler(from, datagram);
}

bool UdpPort::send(const Endpoint& to, std::span<const iovec> parts) {
  if (route_->blocks(to.address)) {
    errno = EACCES;
    return false;
  }
  if (!route_->direct()) return send_wrapped(wire::ProxyTarget(to), parts) >= 0;
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
  if (route_->blocks(to.address)) return datagrams.size();  // as good as lost
  std::size_t done = 0;
  while (done < datagrams.size()) {
    // As many as the kernel can cut apart by one size.
    const auto rest = datagrams.subspan(done);
    std::size_t count = 1;
    while (segmentation_ && route_->direct() && count < std::min(rest.size(), kMostSegments) &&
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
