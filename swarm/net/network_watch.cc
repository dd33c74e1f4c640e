#include "swarm/net/network_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "swarm/base/now.h"
#include "swarm/net/local_networks.h"

namespace swarmfs::net {

namespace asio = boost::asio;
using boost::system::error_code;

Result<std::unique_ptr<NetworkWatch>> NetworkWatch::start(asio::any_io_executor executor,
                                                          Changed changed) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (!socket.valid() ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0)
    return Error::from_errno(errno, "changes of the network");
  std::unique_ptr<NetworkWatch> watch(
      new NetworkWatch(executor, std::move(socket), std::move(changed)));
  watch->wait_for_news();
  return watch;
}

NetworkWatch::NetworkWatch(const asio::any_io_executor& executor, Fd socket, Changed changed)
    : news_(executor, socket.release()),
      timer_(executor),
      changes_(host_addresses().value_or(std::vector<engine::HostAddress>{})),
      changed_(std::move(changed)) {}

/// What the news are does not matter: how things are is asked afterwards. They are read so that the
/// next ones are heard; those that did not fit (ENOBUFS) are news too.
void NetworkWatch::wait_for_news() {
  news_.async_wait(asio::posix::stream_descriptor::wait_read,
                   [this, alive = std::weak_ptr(alive_)](const error_code& error) {
                     if (error || alive.expired()) return;
                     std::array<char, 16 << 10> text;
                     ssize_t got = 0;
                     do {
                       got = ::recv(news_.native_handle(), text.data(), text.size(), 0);
                     } while (got > 0 || (got < 0 && errno == EINTR));
                     changes_.on_news(now());
                     arm();
                     wait_for_news();
                   });
}

void NetworkWatch::arm() {
  timer_.expires_at(changes_.deadline());
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& cancelled) {
    if (cancelled || alive.expired()) return;
    auto addresses = host_addresses();
    if (!addresses) changes_.on_news(now());  // asked again in a moment
    const auto change = addresses ? changes_.look(std::move(*addresses), now()) : std::nullopt;
    if (changes_.deadline() != TimePoint::max()) arm();
    if (!change) return;
    const Changed tell = changed_;  // which may let go of us
    tell(*change);
  });
}

}  // namespace swarmfs::net
