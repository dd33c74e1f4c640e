// The hash table without torrents: its own ports, and a thread for its file.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <vector>

#include "swarm/net/dht_service.h"

namespace swarmfs::net {

class DhtHost {
 public:
  /// Opens a port for each address; none given: any free one of each family that is there. Errors:
  /// busy, permission, network; they name the address.
  static Result<std::unique_ptr<DhtHost>> open(boost::asio::io_context& io, RoutePtr route,
                                               std::vector<Endpoint> listen, DhtConfig config,
                                               std::shared_ptr<spdlog::logger> logger);
  ~DhtHost();
  DhtService& service() { return *service_; }

 private:
  DhtHost() = default;
  boost::asio::thread_pool disk_{1};
  std::vector<std::unique_ptr<UdpPort>> ports_;
  std::unique_ptr<DhtService> service_;
};

}  // namespace swarmfs::net
