#include "swarm/net/dht_host.h"

#include <utility>

namespace swarmfs::net {

Result<std::unique_ptr<DhtHost>> DhtHost::open(boost::asio::io_context& io, RoutePtr route,
                                               std::vector<Endpoint> listen, DhtConfig config,
                                               std::shared_ptr<spdlog::logger> logger) {
  std::unique_ptr<DhtHost> host(new DhtHost);
  host->service_ = std::make_unique<DhtService>(
      io.get_executor(), route, host->disk_.get_executor(), std::move(config), std::move(logger));
  if (listen.empty()) listen = {{IpAddress::v4({}), 0}, {IpAddress::v6({}), 0}};
  for (const Endpoint& endpoint : listen) {
    auto port = UdpPort::open(io.get_executor(), route, endpoint);
    // A machine may be without IPv6.
    const bool optional = endpoint.address.is_unspecified() && !endpoint.address.is_v4();
    if (!port && optional && !host->ports_.empty()) continue;
    if (!port) return port.error();
    host->ports_.push_back(std::move(*port));
    host->service_->add_port(*host->ports_.back());
  }
  return host;
}

DhtHost::~DhtHost() {
  service_.reset();  // which leaves its table to the disk's thread
  disk_.join();
}

}  // namespace swarmfs::net
