#include "swarm/net/route.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "swarm/net/asio_glue.h"
#include "swarm/net/resolver.h"

namespace swarmfs::net {

using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;

namespace {

/// The device that has the address now.
std::optional<std::string> device_with(const IpAddress& address) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(all, ::freeifaddrs);
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    const bool v4 = one->ifa_addr->sa_family == AF_INET;
    if (!v4 && one->ifa_addr->sa_family != AF_INET6) continue;
    if (v4 != address.is_v4()) continue;
    const ByteView bytes = address.bytes();
    const void* const theirs =
        v4 ? static_cast<const void*>(
                 &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr)
           : static_cast<const void*>(
                 &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr);
    if (std::memcmp(theirs, bytes.data(), bytes.size()) == 0) return std::string(one->ifa_name);
  }
  return std::nullopt;
}

}  // namespace

RoutePtr Route::plain() { return std::make_shared<const Route>(); }

Result<RoutePtr> Route::make(const Options& options) {
  auto route = std::make_shared<Route>();
  route->interface_ = options.interface;
  if (!options.interface.empty()) {
    route->source_ = IpAddress::parse(options.interface);
    // One that is not there yet would be waited for in silence, above all a name misspelt.
    if (const auto device = route->device(); !device) return device.error();
    if (route->interface_index() == 0)
      return fail(ErrorKind::not_found, "--interface " + options.interface +
                                            ": there is no such interface; see: ip link");
  }
  if (!options.proxy) return RoutePtr(route);
  const wire::ProxyUrl& proxy = *options.proxy;
  auto found = resolve_now(RoutePtr(route), proxy.host);
  if (!found)
    return fail(ErrorKind::not_found, "proxy " + proxy.redacted() + ": " + found.error().message);
  route->proxy_addresses_ = std::move(*found);
  route->proxy_ = proxy;
  return RoutePtr(route);
}

Result<std::string> Route::device() const {
  if (!source_) return interface_;
  auto name = device_with(*source_);
  if (name) return *name;
  return fail(ErrorKind::network, "--interface " + interface_ + ": no interface has that address");
}

unsigned Route::interface_index() const {
  if (interface_.empty()) return 1;
  const auto name = device();
  return name ? ::if_nametoindex(name->c_str()) : 0;
}

Result<> Route::hold(int socket, bool v4) const {
  if (interface_.empty()) return {};
  const auto name = device();
  if (!name) return name.error();
  // By the device: an address alone says where packets come from, and not by which way they go.
  if (::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, name->data(),
                   static_cast<socklen_t>(name->size())) != 0)
    return Error::from_errno(errno, "--interface " + interface_);
  if (source_ && source_->is_v4() != v4)
    return fail(ErrorKind::network, "--interface " + interface_ + ": has no " +
                                        (v4 ? "IPv4" : "IPv6") + " (name the interface instead)");
  return {};
}

namespace {

/// Opens a socket, or acceptor, on the interface of the route.
template <class Socket>
Result<> open_on(const Route& route, Socket& socket, const Endpoint& of,
                 const typename Socket::protocol_type& protocol) {
  error_code error;
  socket.open(protocol, error);
  if (error) return net_error(error, "a socket for " + of.to_string());
  return route.hold(socket.native_handle(), of.address.is_v4());
}

}  // namespace

static IpAddress any_of(bool v4) { return v4 ? IpAddress::v4({}) : IpAddress::v6({}); }

/// Of any address, the one that --interface named.
Endpoint Route::own(const Endpoint& local) const {
  const bool any = source_ && local.address.is_unspecified();
  return any && source_->is_v4() == local.address.is_v4() ? Endpoint{*source_, local.port} : local;
}

Result<tcp::acceptor> Route::listen(const asio::any_io_executor& executor,
                                    const Endpoint& local) const {
  const std::string what = "cannot listen on " + local.to_string();
  if (!direct()) return fail(ErrorKind::unsupported, what + ": not with a proxy");
  const Endpoint at = own(local);
  const auto where = to_asio<tcp>(at);
  tcp::acceptor acceptor(executor);
  if (auto opened = open_on(*this, acceptor, at, where.protocol()); !opened) return opened.error();
  error_code ec;
  acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  // A listener per family: each knows its peers' family.
  if (!ec && where.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(true), ec);
  if (!ec) acceptor.bind(where, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return net_error(ec, what);
  return acceptor;
}

Result<udp::socket> Route::open_udp(const asio::any_io_executor& executor,
                                    const Endpoint& local) const {
  const std::string what = "cannot listen on " + local.to_string() + " (UDP)";
  if (!direct()) return fail(ErrorKind::unsupported, what + ": not with a proxy");
  const Endpoint at = own(local);
  const auto where = to_asio<udp>(at);
  udp::socket socket(executor);
  if (auto opened = open_on(*this, socket, at, where.protocol()); !opened) return opened.error();
  error_code ec;
  if (!at.address.is_v4()) socket.set_option(asio::ip::v6_only(true), ec);
  if (!ec) socket.bind(where, ec);
  if (!ec) socket.non_blocking(true, ec);
  if (ec) return net_error(ec, what);
  return socket;
}

Result<udp::socket> Route::hear_all_hosts(const asio::any_io_executor& executor,
                                          std::uint16_t port) const {
  const Endpoint group{IpAddress::v4({224, 0, 0, 1}), port};
  const std::string what = "cannot listen on " + group.to_string() + " (UDP)";
  if (!direct()) return fail(ErrorKind::unsupported, what + ": not with a proxy");
  const auto where = to_asio<udp>(group);
  udp::socket socket(executor);
  if (auto opened = open_on(*this, socket, group, where.protocol()); !opened) return opened.error();
  error_code ec;
  socket.set_option(udp::socket::reuse_address(true), ec);
  // To the group alone, of which every host is a member: nothing else is heard.
  if (!ec) socket.bind(where, ec);
  if (!ec) socket.non_blocking(true, ec);
  if (ec) return net_error(ec, what);
  return socket;
}

std::optional<IpAddress> Route::source_towards(const asio::any_io_executor& executor,
                                               const Endpoint& to) const {
  auto probe = open_udp(executor, {any_of(to.address.is_v4()), 0});
  if (!probe) return std::nullopt;
  error_code error;
  probe->connect(to_asio<udp>(to), error);
  if (error) return std::nullopt;
  const auto local = probe->local_endpoint(error);
  if (error) return std::nullopt;
  return from_asio(local.address());
}

/// A connection under way. Shared with its timer's handler, which may come when it has ended.
struct Route::Dial {
  explicit Dial(const asio::any_io_executor& executor) : socket(executor), timer(executor) {}

  static std::shared_ptr<Dial> begin(const asio::any_io_executor& executor, Duration timeout) {
    auto dial = std::make_shared<Dial>(executor);
    dial->timer.expires_after(timeout);
    dial->timer.async_wait([dial](const error_code& cancelled) {
      error_code ignored;
      if (cancelled || dial->ended) return;
      dial->late = true;
      dial->socket.close(ignored);
    });
    return dial;
  }
  /// What an error of the socket means.
  Error why(const error_code& error, const std::string& what) const {
    if (late) return fail(ErrorKind::timed_out, what + ": no answer in time");
    if (error == asio::error::eof)
      return fail(ErrorKind::network, what + ": it closed the connection");
    return net_error(error, what);
  }

  tcp::socket socket;
  asio::steady_timer timer;
  bool late = false;
  bool ended = false;
};

namespace {

/// Ends the timer, whichever way the coroutine ends.
template <class Dial>
class Ender {
 public:
  explicit Ender(std::shared_ptr<Dial> dial) : dial_(std::move(dial)) {}
  ~Ender() {
    dial_->ended = true;
    dial_->timer.cancel();
  }

 private:
  std::shared_ptr<Dial> dial_;
};

}  // namespace

Error Route::blame(const Error& error, const std::string& target) const {
  return fail(error.kind, "proxy " + proxy_->redacted() + ": " + error.message +
                              (target.empty() ? "" : " (asked for " + target + ")"));
}

Route::Step Route::straight(RoutePtr route, std::shared_ptr<Dial> dial, Endpoint to) {
  const tcp::endpoint where = to_asio<tcp>(to);
  error_code ignored;
  dial->socket.close(ignored);
  auto opened = open_on(*route, dial->socket, to, where.protocol());
  if (opened && route->source_) {
    // The port is chosen with the destination, so that one port serves many connections.
    const int on = 1;
    ::setsockopt(dial->socket.native_handle(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    error_code error;
    dial->socket.bind(to_asio<tcp>(Endpoint{*route->source_, 0}), error);
    if (error) opened = net_error(error, "--interface " + route->interface_);
  }
  if (!opened) co_return opened.error();
  const auto begun = std::chrono::steady_clock::now();
  const auto [error] = co_await dial->socket.async_connect(where, kAwait);
  if (error) co_return dial->why(error, to.to_string());
  const Duration rtt = std::chrono::steady_clock::now() - begun;
  // The socket stays with the dial, where its timer can reach it.
  co_return std::make_unique<Connected>(Connected{tcp::socket(dial->socket.get_executor()), rtt});
}

/// To the proxy, and through the dialogue with it.
Route::Step Route::through(RoutePtr route, std::shared_ptr<Dial> dial, wire::ProxyDialogue dialogue,
                           Duration* rtt, std::optional<Endpoint>* bound) {
  std::unique_ptr<Connected> reached;
  Error last;
  for (const IpAddress& address : route->proxy_addresses_) {
    const Endpoint to{address, route->proxy_->port};
    auto connected = co_await straight(route, dial, to);
    if (connected) {
      reached = std::move(*connected);
      break;
    }
    last = connected.error();
    if (dial->late) break;
  }
  if (!reached) co_return last;
  *rtt = reached->rtt;
  std::array<std::uint8_t, 512> buffer;
  while (!dialogue.done()) {
    const Bytes words = dialogue.take_output();
    const auto asked = std::chrono::steady_clock::now();
    const auto outgoing = asio::buffer(words);
    const auto [unsent, sent] = co_await asio::async_write(dial->socket, outgoing, kAwait);
    if (unsent) co_return dial->why(unsent, "it was not to be spoken to");
    const auto incoming = asio::buffer(buffer.data(), std::min(dialogue.wanted(), buffer.size()));
    const auto [unread, size] = co_await dial->socket.async_read_some(incoming, kAwait);
    if (unread) co_return dial->why(unread, "it did not answer");
    if (!words.empty()) *rtt = std::chrono::steady_clock::now() - asked;
    const auto fed = dialogue.feed(ByteView(buffer).first(size));
    if (!fed) co_return fed.error();
  }
  *bound = dialogue.bound();
  reached->proxied = true;
  co_return reached;
}

asio::awaitable<Result<std::unique_ptr<Route::Connected>>> Route::connect(RoutePtr route,
                                                                          wire::ProxyTarget target,
                                                                          Duration timeout) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto dial = Dial::begin(executor, timeout);
  const Ender<Dial> ender(dial);
  const std::string what = target.to_string();
  if (route->direct()) {
    const auto address = IpAddress::parse(target.host);
    if (!address) co_return fail(ErrorKind::bad_input, what + " is a name, not an address");
    const Endpoint to{*address, target.port};
    auto connected = co_await straight(route, dial, to);
    if (connected) (*connected)->socket = std::move(dial->socket);
    co_return connected;
  }
  wire::ProxyDialogue dialogue(*route->proxy_, wire::ProxyDialogue::Command::connect,
                               std::move(target));
  Duration rtt{};
  std::optional<Endpoint> bound;
  auto connected = co_await through(route, dial, std::move(dialogue), &rtt, &bound);
  if (!connected) co_return route->blame(connected.error(), what);
  (*connected)->rtt = rtt;
  (*connected)->socket = std::move(dial->socket);
  co_return connected;
}

asio::awaitable<Result<std::unique_ptr<Route::Association>>> Route::associate(RoutePtr route,
                                                                              Duration timeout) {
  if (route->direct() || !route->has_udp())
    co_return fail(ErrorKind::unsupported, "proxy " + route->proxy_name() + ": takes no datagrams");
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto dial = Dial::begin(executor, timeout);
  const Ender<Dial> ender(dial);
  wire::ProxyDialogue dialogue(*route->proxy_, wire::ProxyDialogue::Command::udp_associate,
                               wire::ProxyTarget("0.0.0.0", 0));
  Duration rtt{};
  std::optional<Endpoint> bound;
  auto connected = co_await through(route, dial, std::move(dialogue), &rtt, &bound);
  if (!connected) co_return route->blame(connected.error(), "");
  const auto refuse = [&](const std::string& why) {
    return route->blame(fail(ErrorKind::network, "UDP association: " + why), "");
  };
  if (!bound || bound->port == 0) co_return refuse("it named no port");
  // Whatever address it names, datagrams go to the proxy itself and to nobody else.
  error_code error;
  const auto at = dial->socket.remote_endpoint(error);
  if (error) co_return refuse(error.message());
  const Endpoint relay{from_asio(at.address()), bound->port};
  udp::socket socket(executor);
  const udp::endpoint to = to_asio<udp>(relay);
  const auto opened = open_on(*route, socket, relay, to.protocol());
  if (!opened) co_return opened.error();
  if (route->source_) socket.bind(to_asio<udp>(Endpoint{*route->source_, 0}), error);
  if (!error) socket.connect(to, error);
  if (!error) socket.non_blocking(true, error);
  if (error) co_return refuse(error.message());
  error_code ignored;
  dial->socket.set_option(asio::socket_base::keep_alive(true), ignored);
  co_return std::make_unique<Association>(Association{std::move(dial->socket), std::move(socket)});
}

}  // namespace swarmfs::net
