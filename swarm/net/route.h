// By which way the process reaches others: straight or through a proxy, and by which interface.
// The one place that opens sockets (scripts/check_arch.py holds everything else to that).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/wire/proxy.h"

namespace swarmfs::net {

class Route;
/// Shared by all that opens sockets; never null.
using RoutePtr = std::shared_ptr<const Route>;

/// Immutable, and of no thread. Everything or nothing: with a proxy no packet goes to anybody else,
/// with an interface none by another; where that cannot be had there is an error. Those name the
/// proxy, without its password, or the interface.
class Route {
 public:
  struct Options {
    std::optional<wire::ProxyUrl> proxy{};
    /// The name of an interface, or an address of one, which is then where everything comes from:
    /// of the other family there is nothing. Empty: whatever the system chooses.
    std::string interface {};
  };

  /// Straight to everybody, as the system routes.
  static RoutePtr plain();
  /// The proxy's own name is looked up here by the system, once; this may take seconds. Errors:
  /// not_found for that, or for an interface that is not there.
  static Result<RoutePtr> make(const Options& options);

  /// No proxy. Only then may anything listen, be announced as listening, ask the local network, or
  /// ask a router to forward ports.
  bool direct() const { return !proxy_; }
  /// Datagrams have a way: not with an HTTP proxy.
  bool has_udp() const { return !proxy_ || proxy_->kind == wire::ProxyUrl::Kind::socks5; }
  /// There is an interface by which everything goes.
  bool bound() const { return !interface_.empty(); }
  /// False for the family that an interface named by its address has not.
  bool speaks(bool v4) const { return !source_ || source_->is_v4() == v4; }
  /// "socks5://192.0.2.1:1080", or "" without a proxy.
  std::string proxy_name() const { return proxy_ ? proxy_->redacted() : std::string(); }
  /// Changes when the interface has gone or come back as another: what is bound to the old one is
  /// of no use any more. 0 while it is away; without --interface always 1.
  unsigned interface_index() const;

  /// For sockets of any other make, before they are bound or connected: puts them on the interface.
  Result<> hold(int socket, bool v4) const;
  /// Bound to `local`, of one family; of any address the interface's own if it was named by that.
  /// Only if direct().
  Result<boost::asio::ip::tcp::acceptor> listen(const boost::asio::any_io_executor& executor,
                                                const Endpoint& local) const;
  /// The same for datagrams, not blocking. Only if direct().
  Result<boost::asio::ip::udp::socket> open_udp(const boost::asio::any_io_executor& executor,
                                                const Endpoint& local) const;
  /// Hears what is sent to all hosts of the network (224.0.0.1) at a port that others may hear as
  /// well. Only if direct().
  Result<boost::asio::ip::udp::socket> hear_all_hosts(const boost::asio::any_io_executor& executor,
                                                      std::uint16_t port) const;
  /// The address that datagrams to there would come from. Sends nothing.
  std::optional<IpAddress> source_towards(const boost::asio::any_io_executor& executor,
                                          const Endpoint& to) const;

  struct Connected {
    boost::asio::ip::tcp::socket socket;
    Duration rtt{};        ///< that it took the other end, or the proxy asking it, to answer
    bool proxied = false;  ///< the kernel's round trips are the proxy's then
  };
  /// A TCP connection to the target, which without a proxy has to be an address. Errors:
  /// timed_out after `timeout`, permission, network, protocol.
  static boost::asio::awaitable<Result<std::unique_ptr<Connected>>> connect(
      RoutePtr route, wire::ProxyTarget target, Duration timeout);

  /// A UDP association with a SOCKS5 proxy (RFC 1928 7): `relay` takes and gives datagrams with a
  /// header, until `control` ends.
  struct Association {
    boost::asio::ip::tcp::socket control;
    boost::asio::ip::udp::socket relay;  ///< connected, not blocking
  };
  static boost::asio::awaitable<Result<std::unique_ptr<Association>>> associate(RoutePtr route,
                                                                                Duration timeout);

 private:
  Endpoint own(const Endpoint& local) const;
  struct Dial;
  using Step = boost::asio::awaitable<Result<std::unique_ptr<Connected>>>;
  static Step straight(RoutePtr route, std::shared_ptr<Dial> dial, Endpoint to);
  static Step through(RoutePtr route, std::shared_ptr<Dial> dial, wire::ProxyDialogue dialogue,
                      Duration* rtt, std::optional<Endpoint>* bound);
  Result<std::string> device() const;
  Error blame(const Error& error, const std::string& target) const;

  std::optional<wire::ProxyUrl> proxy_;
  std::vector<IpAddress> proxy_addresses_;
  std::string interface_;            ///< as the user named it
  std::optional<IpAddress> source_;  ///< if that was by an address
};

}  // namespace swarmfs::net
