#include "swarm/net/port_mapping.h"

#include <boost/asio/post.hpp>
#include <fstream>
#include <sstream>
#include <utility>

namespace swarmfs::net {

using boost::system::error_code;
using Clock = std::chrono::steady_clock;

static std::string read_table(const char* path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

PortMapping::PortMapping(boost::asio::any_io_executor executor, RoutePtr route,
                         PortMappingConfig config, Ports ports, std::function<void()> changed,
                         std::shared_ptr<spdlog::logger> logger)
    : executor_(executor),
      route_(std::move(route)),
      config_(config),
      changed_(std::move(changed)),
      logger_(std::move(logger)),
      timer_(executor),
      stop_timer_(executor) {
  v4_.listen = ports.v4;
  v6_.listen = ports.v6;
  const std::uint16_t number = ports.v4 ? ports.v4->port : ports.v6 ? ports.v6->port : 0;
  if (ports.tcp) ports_.push_back({nat::Protocol::tcp, number});
  if (ports.udp) ports_.push_back({nat::Protocol::udp, number});
}

PortMapping::~PortMapping() {
  if (upnp_given_up_) *upnp_given_up_ = true;
}

/// Whether the family's way out is another than before.
bool PortMapping::look_at(Family& family, bool v4) {
  if (!family.listen) return false;
  auto gateway = v4 ? nat::default_route_v4(read_table("/proc/net/route"))
                    : nat::default_route_v6(read_table("/proc/net/ipv6_route"));
  // IPv6 routers are at link-local addresses, and it is our global one that others are to reach:
  // that by which we would speak with them (2000::/3).
  const auto towards = v4 && gateway ? gateway->address : IpAddress::v6({0x20, 0x00});
  auto client =
      gateway ? route_->source_towards(executor_, {towards, nat::pcp::kServerPort}) : std::nullopt;
  const bool heard = client && !client->is_loopback() &&
                     (family.listen->address.is_unspecified() || family.listen->address == *client);
  if (!heard) gateway.reset();
  if (gateway == family.gateway && (!gateway || *client == family.client)) return false;
  family.gateway = std::move(gateway);
  if (client) family.client = *client;
  family.link.reset();
  return true;
}

void PortMapping::ask(Family& family) {
  if (!family.gateway || family.link) return;
  nat::GatewayClient::Config config;
  config.client = family.client;
  config.ports = ports_;
  config.secret = config_.secret;
  auto link = GatewayLink::open(executor_, route_, *family.gateway, std::move(config),
                                [this] { stopping_ ? finish_stop() : update(); });
  if (link) family.link = std::move(*link);
  // The address may be on its way: asked again at the next look.
  if (!link) family.gateway.reset();
}

/// Again and again: which router there is, and whether it is time to ask by UPnP.
void PortMapping::look() {
  if (look_at(v4_, true)) {
    upnp_.reset();
    upnp_next_.reset();
  }
  look_at(v6_, false);
  if (!upnp_) ask(v4_);
  ask(v6_);
  ask_upnp();
  update();
  timer_.expires_after(kLookEvery);
  timer_.async_wait([this](const error_code& cancelled) {
    if (!cancelled && !stopping_) look();
  });
}

void PortMapping::ask_upnp() {
  const auto now = Clock::now();
  const bool by_link = v4_.link && v4_.link->client().external(0);
  if (!v4_.gateway || by_link || asking_upnp_ || (upnp_next_ && now < *upnp_next_)) return;
  upnp_next_ = now + kUpnpEvery;
  upnp_given_up_ = std::make_shared<std::atomic<bool>>(false);
  asking_upnp_ = std::make_unique<Aside<Result<UpnpMapping>>>(executor_);
  const bool runs =
      asking_upnp_->run([ports = ports_, listen = v4_.listen->address,
                         given_up = upnp_given_up_] { return upnp_map(ports, listen, *given_up); },
                        [this](Result<UpnpMapping> mapped) { on_upnp(std::move(mapped)); });
  if (!runs) asking_upnp_.reset();
}

void PortMapping::on_upnp(Result<UpnpMapping> mapped) {
  asking_upnp_.reset();
  if (stopping_) return finish_stop();
  if (!mapped) logger_->debug("{}", mapped.error().message);
  const bool by_link = v4_.link && v4_.link->client().external(0);
  // Both at once: the router may have one mapping for both, so nothing is given back.
  if (by_link) return;
  upnp_ = mapped ? Upnp(std::move(*mapped)) : std::nullopt;
  if (upnp_) {
    v4_.link.reset();
  } else {
    ask(v4_);
  }
  update();
}

void PortMapping::update() {
  Status now;
  const auto place = [&](const auto& external_of,
                         nat::Protocol protocol) -> std::optional<Endpoint> {
    for (std::size_t i = 0; i < ports_.size(); ++i)
      if (ports_[i].protocol == protocol) return external_of(i);
    return std::nullopt;
  };
  const auto of_link = [&](const Family& family) {
    return [&family](std::size_t i) {
      return family.link ? family.link->client().external(i) : std::nullopt;
    };
  };
  const auto by_upnp = [&](std::size_t) { return std::optional(upnp_->external); };
  using nat::Protocol;
  now.tcp = upnp_ ? place(by_upnp, Protocol::tcp) : place(of_link(v4_), Protocol::tcp);
  now.udp = upnp_ ? place(by_upnp, Protocol::udp) : place(of_link(v4_), Protocol::udp);
  now.tcp6 = place(of_link(v6_), Protocol::tcp);
  now.udp6 = place(of_link(v6_), Protocol::udp);
  if (upnp_) {
    now.method = nat::Method::upnp;
  } else if (now.tcp || now.udp) {
    now.method = v4_.link->client().method();
    if (upnp_given_up_) *upnp_given_up_ = true;
  }
  if (now == status_) return;
  const bool news =
      now.method != status_.method || now.tcp != status_.tcp || now.udp != status_.udp;
  status_ = now;
  if (news && now.method == nat::Method::none) {
    logger_->info("the router leads no port to us any more");
    upnp_next_.reset();
  } else if (news) {
    logger_->info("{}: the router leads {} to us", to_string(now.method),
                  (now.tcp ? now.tcp : now.udp)->to_string());
  }
  boost::asio::post(executor_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired() && !stopping_) changed_();
  });
}

void PortMapping::stop(std::function<void()> done) {
  stopping_ = true;
  stop_done_ = std::move(done);
  timer_.cancel();
  if (upnp_given_up_) *upnp_given_up_ = true;
  for (Family* family : {&v4_, &v6_})
    if (family->link) family->link->release();
  if (upnp_) {
    unmapping_ = std::make_unique<Aside<bool>>(executor_);
    const bool runs = unmapping_->run(
        [mapping = *upnp_] {
          upnp_unmap(mapping);
          return true;
        },
        [this](bool) {
          upnp_.reset();
          finish_stop();
        });
    if (!runs) upnp_.reset();
  }
  stop_timer_.expires_after(kStopTime);
  stop_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& cancelled) {
    if (cancelled || alive.expired()) return;
    upnp_.reset();
    v4_.link.reset();
    v6_.link.reset();
    finish_stop();
  });
  boost::asio::post(executor_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) finish_stop();
  });
}

/// Somebody has given back what it had; perhaps the last.
void PortMapping::finish_stop() {
  for (const Family* family : {&v4_, &v6_})
    if (family->link && !family->link->client().released()) return;
  if (upnp_ || !stop_done_) return;
  stop_timer_.cancel();
  std::exchange(stop_done_, nullptr)();
}

}  // namespace swarmfs::net
