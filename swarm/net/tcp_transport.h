// Connections to peers over TCP.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include "swarm/net/peer_transport.h"
#include "swarm/net/route.h"

namespace swarmfs::net {

class TcpTransport final : public PeerTransport {
 public:
  static constexpr Duration kTimeout = std::chrono::seconds(10);

  TcpTransport(boost::asio::any_io_executor executor, RoutePtr route)
      : executor_(std::move(executor)), route_(std::move(route)) {}
  std::unique_ptr<Attempt> connect(const Endpoint& endpoint, Done done) override;

 private:
  boost::asio::any_io_executor executor_;
  RoutePtr route_;
};

}  // namespace swarmfs::net
