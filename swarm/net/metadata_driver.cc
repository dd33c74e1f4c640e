#include "swarm/net/metadata_driver.h"

#include <boost/asio/post.hpp>
#include <random>

#include "swarm/base/now.h"
#include "swarm/net/resolver.h"
#include "swarm/net/task.h"

namespace swarmfs::net {

namespace asio = boost::asio;

static constexpr Duration kLookUpTime = std::chrono::seconds(10);

MetadataDriver::MetadataDriver(asio::io_context& io, PeerDialer& dialer,
                               engine::MetadataConfig config, MetadataSetup setup,
                               std::shared_ptr<spdlog::logger> logger)
    : io_(io),
      dialer_(dialer),
      setup_(std::move(setup)),
      logger_(std::move(logger)),
      fetch_(std::move(config), *this, std::random_device{}()),
      timer_(io) {}

MetadataDriver::~MetadataDriver() { stop(); }

void MetadataDriver::start() {
  add_candidates(setup_.peers, engine::PeerSource::user);
  for (const auto& [host, port] : setup_.link_peers) {
    if (const auto address = IpAddress::parse(host)) {
      add_candidates({{*address, port}}, engine::PeerSource::magnet);
    } else {
      look_up(host, port);
    }
  }
}

void MetadataDriver::look_up(const std::string& host, std::uint16_t port) {
  using Addresses = std::vector<IpAddress>;
  std::function<void(Result<Addresses>)> done = [weak = weak_from_this(),
                                                 port](Result<Addresses> found) {
    const auto self = weak.lock();
    if (!self || self->stopped_) return;
    if (!found) return self->log(1, found.error().message);
    std::vector<Endpoint> endpoints;
    for (const IpAddress& address : *found) endpoints.push_back({address, port});
    self->add_candidates(endpoints, engine::PeerSource::magnet);
  };
  look_ups_.push_back(Task::start<Addresses>(io_.get_executor(), kLookUpTime, host,
                                             resolve(dialer_.route(), host, {}, kLookUpTime),
                                             std::move(done)));
}

void MetadataDriver::stop() {
  if (std::exchange(stopped_, true)) return;
  timer_.cancel();
  for (const auto& task : look_ups_) task->cancel();
  for (const auto& [id, connection] : connections_) connection->close();
  connections_.clear();
  dialling_.clear();
}

template <class Event>
void MetadataDriver::event(Event&& event) {
  if (stopped_) return;
  event();
  while (!unflushed_.empty())
    for (const auto& connection : std::exchange(unflushed_, {})) connection->flush();
  arm_timer();
  if (told_ || (!fetch_.metadata() && !fetch_.failed())) return;
  told_ = true;
  // Later: the receiver may let us go, or hand our connections over, one of which has called.
  asio::post(io_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->stopped_ || !self->setup_.done) return;
    const auto done = std::exchange(self->setup_.done, nullptr);
    if (self->fetch_.metadata()) return done(*self->fetch_.metadata());
    done(*self->fetch_.failed());
  });
}

void MetadataDriver::arm_timer() {
  const TimePoint deadline = fetch_.deadline();
  timer_.cancel();
  if (deadline == TimePoint::max()) return;
  timer_.expires_at(deadline);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self) self->event([&] { self->fetch_.on_timer(now()); });
  });
}

void MetadataDriver::add_candidates(const std::vector<Endpoint>& endpoints,
                                    engine::PeerSource source) {
  event([&] { fetch_.add_candidates(endpoints, source, now()); });
}

void MetadataDriver::network_changed() {
  event([&] { fetch_.network_changed(now()); });
}

void MetadataDriver::set_filter(engine::AddressFilterPtr filter) {
  event([&] { fetch_.set_filter(std::move(filter), now()); });
}

// --- connections: as TorrentDriver has them

void MetadataDriver::dial(const Endpoint& endpoint) {
  dialling_[endpoint] = dialer_.dial(
      endpoint, setup_.hashes.primary(),
      [weak = weak_from_this(), endpoint](Result<PeerDialer::Dialled> dialled) {
        const auto self = weak.lock();
        if (!self || self->stopped_) return;
        self->dialling_.erase(endpoint);
        if (dialled)
          return self->connected(std::move(dialled->stream), endpoint, std::nullopt, dialled->rtt);
        self->logger_->debug("{}", dialled.error().message);
        self->event([&] { self->fetch_.on_dial_failed(endpoint, now()); });
      });
}

void MetadataDriver::accept(std::unique_ptr<PeerStream> stream, const Endpoint& from,
                            const wire::Handshake& theirs) {
  connected(std::move(stream), from, theirs, std::nullopt);
}

void MetadataDriver::connected(std::unique_ptr<PeerStream> stream, const Endpoint& endpoint,
                               std::optional<wire::Handshake> theirs, std::optional<Duration> rtt) {
  if (stopped_) return;
  auto id = std::make_shared<PeerId>();
  PeerConnection::Events events;
  events.on_bytes = [weak = weak_from_this(), id](ByteView bytes) {
    if (const auto self = weak.lock())
      self->event([&] { self->fetch_.on_received(*id, bytes, now()); });
  };
  events.on_closed = [weak = weak_from_this(), id] {
    const auto self = weak.lock();
    if (!self) return;
    self->connections_.erase(*id);
    self->event([&] { self->fetch_.on_closed(*id, now()); });
  };
  events.on_block_sent = [](const wire::BlockRef&, bool) {};
  events.congested = [] { return false; };
  const auto connection =
      std::make_shared<PeerConnection>(io_.get_executor(), std::move(stream), std::move(events));
  pending_ = connection;
  event([&] {
    const auto given = fetch_.add_peer(endpoint, std::move(theirs), rtt, now());
    const auto waiting = std::exchange(pending_, nullptr);
    if (!given) return connection->close();
    *id = *given;
    if (waiting) connections_[*id] = connection;
  });
  if (connections_.contains(*id)) connection->start();
}

std::shared_ptr<PeerConnection> MetadataDriver::connection_of(PeerId peer) {
  if (const auto it = connections_.find(peer); it != connections_.end()) return it->second;
  if (pending_) return connections_[peer] = std::exchange(pending_, nullptr);
  return nullptr;
}

void MetadataDriver::send(PeerId peer, Bytes bytes) {
  auto connection = connection_of(peer);
  if (!connection) return;
  connection->send(std::move(bytes));
  unflushed_.push_back(std::move(connection));
}

void MetadataDriver::disconnect(PeerId peer, std::string_view) {
  const auto connection = connection_of(peer);
  if (!connection) return;
  connections_.erase(peer);
  connection->close_after_flush();
  unflushed_.push_back(connection);
}

void MetadataDriver::hand_over(const Adopt& adopt) {
  if (stopped_) return;
  for (const auto& [id, connection] : std::exchange(connections_, {})) {
    auto known = fetch_.release(id);
    if (known) {
      adopt(connection, std::move(*known));
    } else {
      connection->close();
    }
  }
  stop();
}

void MetadataDriver::need_peers() {
  asio::post(io_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && !self->stopped_ && self->need_peers_callback_) self->need_peers_callback_();
  });
}

void MetadataDriver::log(int level, std::string_view line) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn};
  logger_->log(kLevels[level], "metadata: {}", line);
}

}  // namespace swarmfs::net
