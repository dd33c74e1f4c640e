// One UDP socket for all that speaks over it: the hash table, and uTP.
#pragma once

#include <sys/uio.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/net/receive_pauses.h"
#include "swarm/net/route.h"

namespace swarmfs::net {

class Task;

/// Tells datagrams apart by their first byte: 'd', with which a bencoded dictionary begins, is the
/// hash table's (BEP 5); everything else is the other handler's (a uTP header begins with 0x01 to
/// 0x41). Whom the route's filter blocks is sent nothing and not heard. On the executor's thread.
class UdpPort {
 public:
  enum class Kind : std::uint8_t { dht, other };
  /// Gets a datagram of at least one byte, and may change it in place. It may set handlers, send,
  /// and destroy the port.
  using Handler = std::function<void(const Endpoint& from, MutableByteView datagram)>;

  /// What one datagram may hold; longer ones are dropped.
  static constexpr std::size_t kLargestDatagram = 2048;
  /// Between attempts at an association; doubles from one failure to the next.
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(30);
  /// Asked of the kernel for each direction, which gives what its limits allow.
  static constexpr int kSocketBuffer = 4 << 20;

  /// Binds to an address and port of one family; port 0 takes a free one. Receives at once.
  /// Errors: busy (in use), permission, network; they name the address. Where the route leads
  /// through a proxy, nothing is bound, and local() is the unspecified address of that family with
  /// port 0: datagrams go through an association that is made, and made anew, as time goes on.
  static Result<std::unique_ptr<UdpPort>> open(boost::asio::any_io_executor executor,
                                               RoutePtr route, const Endpoint& local);
  ~UdpPort();

  /// The address it is bound to, with the port it has got.
  const Endpoint& local() const { return local_; }

  /// What has no handler is dropped.
  void set_handler(Kind kind, Handler handler);
  /// Called after each batch of datagrams has been handed out: the time for answers that several
  /// of them share.
  void set_on_batch(std::function<void()> on_batch) { on_batch_ = std::move(on_batch); }

  /// Sends the parts as one datagram, now or not at all: what the socket has no room for is lost,
  /// as on any link. False if it was not sent; errno says why.
  bool send(const Endpoint& to, std::span<const iovec> parts);
  bool send(const Endpoint& to, ByteView datagram);
  /// To a host that the proxy looks up; only with one. False if it was not sent.
  bool send_by_name(const wire::ProxyTarget& to, ByteView datagram);

  /// Sends several datagrams, in order, with as few calls as the kernel allows: where they have one
  /// size, but the last, which may be smaller, they are handed over as one and cut apart late.
  /// Returns how many were sent; errno says why not all.
  std::size_t send(const Endpoint& to, std::span<const ByteView> datagrams);

  /// The interface has come back as another: binds to the same port there. Errors: as open().
  Result<> rebind();

  /// For options of the socket.
  int native_handle() { return socket_.native_handle(); }
  /// With a proxy: what was last wrong with the association; empty while it stands.
  const std::string& trouble() const { return trouble_; }
  /// Called when that changes: to whom it may be said.
  void set_on_trouble(std::function<void(const std::string&)> on_trouble) {
    on_trouble_ = std::move(on_trouble);
  }

 private:
  UdpPort(boost::asio::any_io_executor executor, RoutePtr route, const Endpoint& local);
  void take(boost::asio::ip::udp::socket socket);
  void associate();
  void watch_control();
  void associate_later(const std::string& why);
  void set_trouble(const std::string& why);
  ssize_t send_wrapped(const wire::ProxyTarget& to, std::span<const iovec> parts);
  void wait();
  void rest(Duration pause);
  void receive();
  void hand_out(const Endpoint& from, MutableByteView datagram);
  ssize_t send_segmented(const Endpoint& to, std::span<const ByteView> datagrams);

  RoutePtr route_;
  boost::asio::ip::udp::socket socket_;
  Endpoint local_;
  /// With a proxy: ends when the association does.
  boost::asio::ip::tcp::socket control_;
  boost::asio::steady_timer again_;
  Duration pause_ = kFirstPause;
  std::shared_ptr<Task> associating_;
  std::string trouble_;
  std::function<void(const std::string&)> on_trouble_;
  ReceivePauses pauses_;
  boost::asio::steady_timer rest_;
  std::uint64_t look_ = 0;    ///< the look at the socket that is to come: one before it does not
  bool segmentation_ = true;  ///< the kernel cuts datagrams apart (UDP_SEGMENT), as far as is known
  std::array<Handler, 2> handlers_;
  std::function<void()> on_batch_;
  /// Held weakly by what is under way: gone means the port is.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
