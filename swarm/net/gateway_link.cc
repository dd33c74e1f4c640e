#include "swarm/net/gateway_link.h"

#include <net/if.h>

#include <array>
#include <utility>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {

using asio::ip::udp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

/// With the interface, without which a link-local address is none.
static udp::endpoint address_of(const nat::Gateway& gateway) {
  asio::ip::address address = to_asio(gateway.address);
  if (address.is_v6() && address.to_v6().is_link_local())
    address =
        asio::ip::address_v6(address.to_v6().to_bytes(), ::if_nametoindex(gateway.device.c_str()));
  return {address, nat::pcp::kServerPort};
}

Result<std::unique_ptr<GatewayLink>> GatewayLink::open(asio::any_io_executor executor,
                                                       const RoutePtr& route,
                                                       const nat::Gateway& gateway,
                                                       nat::GatewayClient::Config config,
                                                       std::function<void()> changed) {
  // By the address that the requests name: RFC 6887 8.1.
  auto socket = route->open_udp(executor, {config.client, 0});
  if (!socket) return socket.error();
  std::unique_ptr<GatewayLink> link(
      new GatewayLink(std::move(*socket), gateway, std::move(config), std::move(changed)));
  link->wait(link->socket_);
  if (gateway.address.is_v4()) {
    // What routers announce goes to all hosts of the network, of whose group every host is.
    const Endpoint all_hosts(IpAddress::v4({224, 0, 0, 1}), nat::pcp::kClientPort);
    if (auto heard = route->open_group(executor, all_hosts)) {
      link->announcements_.emplace(std::move(*heard));
      link->wait(*link->announcements_);
    }
  }
  link->client_.start(Clock::now());
  link->wait_for_deadline();
  return link;
}

GatewayLink::GatewayLink(udp::socket socket, const nat::Gateway& gateway,
                         nat::GatewayClient::Config config, std::function<void()> changed)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      gateway_(address_of(gateway)),
      client_(std::move(config),
              [this](ByteView datagram) {
                error_code lost;  // as on any link: asked again later
                socket_.send_to(asio::buffer(datagram.data(), datagram.size()), gateway_, 0, lost);
              }),
      changed_(std::move(changed)) {}

void GatewayLink::wait(udp::socket& socket) {
  socket.async_wait(udp::socket::wait_read,
                    [this, &socket, alive = std::weak_ptr(alive_)](const error_code& error) {
                      if (!error && !alive.expired()) receive(socket);
                    });
}

void GatewayLink::receive(udp::socket& socket) {
  static constexpr int kInOneTurn = 16;
  std::array<std::uint8_t, 1500> room;
  for (int i = 0; i < kInOneTurn; ++i) {
    udp::endpoint from;
    error_code error;
    const std::size_t n = socket.receive_from(asio::buffer(room), from, 0, error);
    if (error == asio::error::would_block) break;
    // Whoever else answers is none we have asked.
    if (error || from.address() != gateway_.address() || from.port() != gateway_.port()) continue;
    const ByteView datagram(room.data(), n);
    if (&socket == &socket_) {
      client_.on_datagram(datagram, Clock::now());
    } else {
      client_.on_announcement(datagram, Clock::now());
    }
  }
  wait(socket);
  wait_for_deadline();
  changed_();
}

void GatewayLink::wait_for_deadline() {
  const auto deadline = client_.deadline();
  if (!deadline) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(*deadline);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& error) {
    if (error || alive.expired()) return;
    client_.on_timer(Clock::now());
    wait_for_deadline();
    changed_();
  });
}

void GatewayLink::release() {
  client_.release(Clock::now());
  wait_for_deadline();
}

}  // namespace swarmfs::net
