// Connections to peers over TCP.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include "swarm/net/peer_transport.h"

namespace swarmfs::net {

class TcpTransport final : public PeerTransport {
 public:
  static constexpr Duration kTimeout = std::chrono::seconds(10);

  explicit TcpTransport(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  std::unique_ptr<Attempt> connect(const Endpoint& endpoint, Done done) override;

 private:
  boost::asio::any_io_executor executor_;
};

}  // namespace swarmfs::net
