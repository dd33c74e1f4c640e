// Has the router of this network lead the port we listen at to us.
#pragma once

#include <spdlog/logger.h>

#include <array>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "swarm/net/aside.h"
#include "swarm/net/gateway_link.h"
#include "swarm/net/upnp.h"

namespace swarmfs::net {

struct PortMappingConfig {
  /// Random; the same for a process that goes on where one has crashed. See nat::GatewayClient.
  std::array<std::uint8_t, 16> secret{};
};

/// PCP or NAT-PMP, and UPnP, are tried side by side; the first that maps is the one, until it does
/// so no more. An IPv6 router is asked by PCP to let others in. Only for a route that is direct and
/// of no interface of its own. On the executor's thread.
class PortMapping {
 public:
  /// How soon another router, or another address of our own, is noticed.
  static constexpr Duration kLookEvery = std::chrono::seconds(10);
  /// UPnP has nobody who says that a router has started anew: so it is asked that often, mapped or
  /// not.
  static constexpr Duration kUpnpEvery = std::chrono::minutes(10);
  static constexpr Duration kStopTime = std::chrono::seconds(1);

  struct Ports {
    std::optional<Endpoint> v4{}, v6{};  ///< where we listen; nothing: not in that family
    bool tcp = true;
    bool udp = false;  ///< at the same number
  };
  struct Status {
    nat::Method method = nat::Method::none;  ///< of IPv4
    std::optional<Endpoint> tcp, udp;        ///< where we are reached from outside
    std::optional<Endpoint> tcp6, udp6;      ///< the same by IPv6, if a router says so
    bool operator==(const Status&) const = default;
  };

  /// `changed` is called when status() has, never from inside a call here.
  PortMapping(boost::asio::any_io_executor executor, RoutePtr route, PortMappingConfig config,
              Ports ports, std::function<void()> changed, std::shared_ptr<spdlog::logger> logger);
  ~PortMapping();
  void start() { look(); }
  /// Gives the ports back; `done` comes, from the loop, when that is done, kStopTime later at most.
  void stop(std::function<void()> done);
  const Status& status() const { return status_; }

 private:
  struct Family {
    std::optional<Endpoint> listen;
    std::optional<nat::Gateway> gateway;
    IpAddress client;
    std::unique_ptr<GatewayLink> link;  ///< null: nobody to ask, or UPnP does it
  };
  using Upnp = std::optional<UpnpMapping>;

  void look();
  bool look_at(Family& family, bool v4);
  void ask(Family& family);
  void ask_upnp();
  void on_upnp(Result<UpnpMapping> mapped);
  void update();
  void finish_stop();

  boost::asio::any_io_executor executor_;
  RoutePtr route_;
  PortMappingConfig config_;
  std::vector<nat::Port> ports_;
  std::function<void()> changed_;
  std::shared_ptr<spdlog::logger> logger_;
  Family v4_, v6_;
  Upnp upnp_;
  std::unique_ptr<Aside<Result<UpnpMapping>>> asking_upnp_;  ///< null: nobody does
  std::shared_ptr<std::atomic<bool>> upnp_given_up_;         ///< by asking_upnp_
  std::unique_ptr<Aside<bool>> unmapping_;
  std::optional<TimePoint> upnp_next_;  ///< nothing: now
  Status status_;
  boost::asio::steady_timer timer_, stop_timer_;
  std::function<void()> stop_done_;
  bool stopping_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
