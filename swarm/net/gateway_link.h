// A nat::GatewayClient with sockets, timer and clock.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "swarm/nat/default_route.h"
#include "swarm/nat/gateway_client.h"
#include "swarm/net/route.h"

namespace swarmfs::net {

/// On the executor's thread.
class GatewayLink {
 public:
  /// Asks at once. `changed` is called, never from inside a call here, when external() or
  /// released() may say something else. Errors: as Route::open_udp().
  static Result<std::unique_ptr<GatewayLink>> open(boost::asio::any_io_executor executor,
                                                   const RoutePtr& route,
                                                   const nat::Gateway& gateway,
                                                   nat::GatewayClient::Config config,
                                                   std::function<void()> changed);
  const nat::GatewayClient& client() const { return client_; }
  /// Gives the ports back.
  void release();

 private:
  GatewayLink(boost::asio::ip::udp::socket socket, const nat::Gateway& gateway,
              nat::GatewayClient::Config config, std::function<void()> changed);
  void wait(boost::asio::ip::udp::socket& socket);
  void receive(boost::asio::ip::udp::socket& socket);
  void wait_for_deadline();

  boost::asio::ip::udp::socket socket_;
  /// Where restarts are announced; of IPv4 only, and not where that is not to be had.
  std::optional<boost::asio::ip::udp::socket> announcements_;
  boost::asio::steady_timer timer_;
  boost::asio::ip::udp::endpoint gateway_;
  nat::GatewayClient client_;
  std::function<void()> changed_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
