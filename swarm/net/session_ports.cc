// The session's ports as others see them.
#include "swarm/net/session.h"

namespace swarmfs::net {

void Session::map_ports() {
  if (!config_.port_mapping || !config_.route->direct() || config_.route->bound()) return;
  PortMapping::Ports ports;
  ports.tcp = config_.tcp;
  ports.udp = !udp_.empty();
  // Those of the number that others are told.
  for (const Listener& listener : listeners_) {
    const Endpoint& at = listener.endpoint;
    if (at.port != port_ || at.address.is_loopback()) continue;
    (at.address.is_v4() ? ports.v4 : ports.v6) = at;
  }
  if ((!ports.v4 && !ports.v6) || (!ports.tcp && !ports.udp)) return;
  told_ = {port_, port_};
  mapping_.emplace(
      io_.get_executor(), config_.route, *config_.port_mapping, ports, [this] { ports_changed(); },
      logger_);
  mapping_->start();
}

std::uint16_t Session::told_port() const {
  const auto mapped = mapping_ ? mapping_->status() : PortMapping::Status{};
  if (mapped.tcp) return mapped.tcp->port;
  return mapped.udp && !config_.tcp ? mapped.udp->port : port_;
}

std::uint16_t Session::told_dht_port() const {
  const auto mapped = mapping_ ? mapping_->status() : PortMapping::Status{};
  return mapped.udp ? mapped.udp->port : port_;
}

std::optional<PortMapping::Status> Session::mapped() const {
  return mapping_ ? std::optional(mapping_->status()) : std::nullopt;
}

/// Peers that come from now on, trackers and the hash table hear of it.
void Session::ports_changed() {
  const std::uint16_t port = told_port();
  const std::uint16_t dht_port = told_dht_port();
  const bool moved = told_.first != port || told_.second != dht_port;
  told_ = {port, dht_port};
  if (!moved || stopped_) return;
  for (const Member& member : members_) {
    member.driver->tell_ports(port, dht_port);
    member.search->ports_changed();
  }
  for (const Fetch& fetch : fetches_) fetch.search->ports_changed();
}

}  // namespace swarmfs::net
