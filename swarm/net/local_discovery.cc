#include "swarm/net/local_discovery.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/multicast.hpp>
#include <random>
#include <utility>

#include "swarm/base/hex.h"
#include "swarm/base/now.h"
#include "swarm/net/addresses.h"
#include "swarm/wire/local_discovery.h"

namespace swarmfs::net {

namespace asio = boost::asio;
namespace multicast = asio::ip::multicast;
using asio::ip::udp;
using boost::system::error_code;

/// By which we know our own announces, which come back to us.
static std::string make_cookie() {
  std::random_device random;
  Bytes bytes;
  append_be(bytes, std::uint32_t{random()});
  append_be(bytes, std::uint32_t{random()});
  return to_hex(bytes);
}

LocalDiscovery::LocalDiscovery(asio::any_io_executor executor, RoutePtr route,
                               std::function<std::uint16_t()> port,
                               std::shared_ptr<spdlog::logger> logger)
    : executor_(executor),
      route_(std::move(route)),
      port_(std::move(port)),
      logger_(std::move(logger)),
      cookie_(make_cookie()),
      timer_(std::move(executor)) {}

LocalDiscovery::Torrent::Torrent(LocalDiscovery& service, std::vector<Sha1Hash> hashes, Found found)
    : service_(service), hashes_(std::move(hashes)), found_(std::move(found)) {
  for (const Sha1Hash& hash : hashes_) service_.announces_.add(hash, now());
  service_.torrents_.push_back(this);
}

LocalDiscovery::Torrent::~Torrent() {
  for (const Sha1Hash& hash : hashes_) service_.announces_.remove(hash, now());
  service_.torrents_.remove(this);
}

void LocalDiscovery::Torrent::want_peers() {
  for (const Sha1Hash& hash : hashes_) service_.announces_.want_peers(hash, now());
  service_.arm();
}

std::unique_ptr<LocalDiscovery::Torrent> LocalDiscovery::join(std::vector<Sha1Hash> hashes,
                                                              Found found) {
  std::unique_ptr<Torrent> torrent(new Torrent(*this, std::move(hashes), std::move(found)));
  open();
  arm();
  return torrent;
}

void LocalDiscovery::open() {
  if (std::exchange(opened_, true)) return;
  for (const bool v4 : {true, false}) {
    auto socket = route_->open_group(executor_, wire::local_discovery_group(v4));
    if (!socket) {
      logger_->debug("local discovery: {}", socket.error().message);
      continue;
    }
    Group& group = groups_.emplace_back(std::move(*socket));
    group.v4 = v4;
    receive_next(group);
  }
  look_around();
}

void LocalDiscovery::arm() {
  const auto due = announces_.deadline();
  timer_.cancel();
  if (!due || groups_.empty()) return;
  timer_.expires_at(*due);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& error) {
    if (!error && !alive.expired()) announce();
  });
}

/// Interfaces come and go: looked at before each announce, which is rare.
void LocalDiscovery::look_around() {
  interfaces_ = local_interfaces();
  if (route_->bound())
    std::erase_if(interfaces_, [index = route_->interface_index()](const LocalInterface& one) {
      return one.index != index;
    });
  networks_.clear();
  for (const LocalInterface& one : interfaces_) networks_.push_back(one.network);
  for (Group& group : groups_) {
    const auto there = [&](unsigned index) {
      return std::any_of(interfaces_.begin(), interfaces_.end(), [&](const LocalInterface& one) {
        return one.index == index && one.network.address.is_v4() == group.v4;
      });
    };
    std::erase_if(group.joined, [&](unsigned index) { return !there(index); });
    const auto address = to_asio(wire::local_discovery_group(group.v4).address);
    for (const LocalInterface& one : interfaces_) {
      if (one.network.address.is_v4() != group.v4 || group.joined.contains(one.index)) continue;
      error_code error;
      if (group.v4) {
        const auto own = to_asio(one.network.address).to_v4();
        group.socket.set_option(multicast::join_group(address.to_v4(), own), error);
      } else {
        group.socket.set_option(multicast::join_group(address.to_v6(), one.index), error);
      }
      // In use: joined before the interface went and came back.
      if (!error || error == asio::error::address_in_use) group.joined.insert(one.index);
    }
  }
}

void LocalDiscovery::announce() {
  std::vector<Sha1Hash> due = announces_.take_due(now());
  arm();
  const std::uint16_t port = port_();
  if (due.empty() || port == 0) return;
  look_around();
  while (!due.empty()) {
    const auto many = static_cast<std::ptrdiff_t>(std::min(due.size(), wire::kMaxLocalHashes));
    const std::vector<Sha1Hash> some(due.end() - many, due.end());
    due.erase(due.end() - many, due.end());
    for (Group& group : groups_) send(group, some, port);
  }
}

void LocalDiscovery::send(Group& group, const std::vector<Sha1Hash>& hashes, std::uint16_t port) {
  const Bytes datagram = wire::encode({port, hashes, cookie_}, group.v4);
  const Endpoint at = wire::local_discovery_group(group.v4);
  const udp::endpoint to(to_asio(at.address), at.port);
  std::set<unsigned> done;
  for (const LocalInterface& one : interfaces_) {
    if (one.network.address.is_v4() != group.v4 || !done.insert(one.index).second) continue;
    error_code error;
    if (group.v4) {
      const auto own = to_asio(one.network.address).to_v4();
      group.socket.set_option(multicast::outbound_interface(own), error);
    } else {
      group.socket.set_option(multicast::outbound_interface(one.index), error);
    }
    if (!error) group.socket.send_to(asio::buffer(datagram), to, 0, error);
    if (error) logger_->debug("local discovery: {}", error.message());
  }
}

void LocalDiscovery::receive_next(Group& group) {
  group.socket.async_receive_from(
      asio::buffer(group.buffer), group.from,
      [this, &group, alive = std::weak_ptr(alive_)](const error_code& error, std::size_t size) {
        if (alive.expired() || error == asio::error::operation_aborted) return;
        if (!error) on_datagram(from_asio(group.from), ByteView(group.buffer).first(size));
        receive_next(group);
      });
}

void LocalDiscovery::on_datagram(const Endpoint& from, ByteView datagram) {
  if (!engine::on_network(from.address, networks_)) return;
  const auto announce = wire::parse_local_announce(datagram);
  if (!announce || announce->cookie == cookie_) return;
  for (const Torrent* torrent : torrents_)
    for (const Sha1Hash& hash : announce->info_hashes)
      if (std::find(torrent->hashes_.begin(), torrent->hashes_.end(), hash) !=
          torrent->hashes_.end()) {
        torrent->found_({from.address, announce->port});
        break;
      }
}

}  // namespace swarmfs::net
