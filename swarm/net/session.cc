#include "swarm/net/session.h"

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <random>
#include <string_view>
#include <utility>

#include "swarm/engine/address_policy.h"
#include "swarm/net/addresses.h"
#include "swarm/net/tcp_stream.h"

namespace swarmfs::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

/// Azureus style (BEP 20): who we are, the version, and twelve random characters.
static wire::ClientId make_client_id(std::random_device& random) {
  static constexpr std::string_view kPrefix = "-SF0100-";
  static constexpr std::string_view kAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz";
  wire::ClientId id{};
  std::copy(kPrefix.begin(), kPrefix.end(), id.begin());
  for (std::size_t i = kPrefix.size(); i < id.size(); ++i)
    id[i] = static_cast<std::uint8_t>(kAlphabet[random() % kAlphabet.size()]);
  return id;
}

Session::Session(asio::io_context& io, SessionConfig config, std::shared_ptr<spdlog::logger> logger)
    : io_(io),
      config_(std::move(config)),
      logger_(std::move(logger)),
      dialer_(io.get_executor()),
      tracker_client_(io.get_executor(), TrackerClient::Options{}, logger_) {
  std::random_device random;
  client_id_ = make_client_id(random);
  tracker_key_ = random();
  if (config_.dht) dht_.emplace(io_.get_executor(), disk_.get_executor(), *config_.dht, logger_);
}

Session::~Session() {
  for (const Member& member : members_) member.driver->stop();
  members_.clear();
  dht_.reset();
  pool_.join();
  disk_.join();
  readers_.join();
}

/// With UDP at the same port, for the hash table.
Result<> Session::open_udp(const Endpoint& endpoint) {
  auto port = UdpPort::open(io_.get_executor(), endpoint);
  if (!port) return port.error();
  udp_.push_back(std::move(*port));
  dht_->add_port(*udp_.back());
  return {};
}

Result<> Session::open(const Endpoint& endpoint, Udp udp) {
  const auto where = to_asio(endpoint);
  tcp::acceptor acceptor(io_);
  error_code ec;
  acceptor.open(where.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec && where.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(true), ec);
  if (!ec) acceptor.bind(where, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return Error::from_errno(ec.value(), "cannot listen on " + endpoint.to_string());
  const std::uint16_t port = acceptor.local_endpoint().port();
  if (dht_) {
    if (auto opened = open_udp({endpoint.address, port}); !opened) {
      if (udp == Udp::required) return opened;
      logger_->warn("no DHT there: {}", opened.error().message);
    }
  }
  port_ = port;
  listeners_.push_back({std::move(acceptor), asio::steady_timer(io_)});
  accept_next(listeners_.back());
  return {};
}

Result<> Session::listen() {
  for (const Endpoint& endpoint : config_.listen)
    if (auto opened = open(endpoint, Udp::optional); !opened) return opened;
  if (!config_.listen.empty()) return {};

  const IpAddress any4 = IpAddress::v4({});
  const IpAddress any6 = IpAddress::v6({});
  for (std::uint16_t port = kDefaultPort; port < kDefaultPort + 10 && listeners_.empty(); ++port)
    if (!open({any4, port}, Udp::required)) continue;
  if (listeners_.empty())
    if (auto opened = open({any4, 0}, Udp::optional); !opened) return opened;
  // The same port number for both families; a machine without IPv6 does without.
  const std::uint16_t port = port_;
  if (!open({any6, port}, Udp::optional)) port_ = port;
  return {};
}

/// An accepted connection whose handshake is still to come.
struct Session::Incoming : std::enable_shared_from_this<Incoming> {
  explicit Incoming(tcp::socket s) : socket(std::move(s)), timeout(socket.get_executor()) {}
  tcp::socket socket;
  asio::steady_timer timeout;
  std::array<std::uint8_t, wire::kHandshakeSize> bytes{};
  std::size_t filled = 0;
};

void Session::accept_next(Listener& listener) {
  listener.acceptor.async_accept([this, &listener](const error_code& ec, tcp::socket socket) {
    if (ec == asio::error::operation_aborted || stopped_) return;
    if (ec) {
      // Out of descriptors, most likely: do not spin.
      logger_->warn("cannot accept a connection: {}", ec.message());
      listener.pause.expires_after(200ms);
      listener.pause.async_wait([this, &listener](const error_code& cancelled) {
        if (!cancelled) accept_next(listener);
      });
      return;
    }
    greet(std::move(socket));
    accept_next(listener);
  });
}

void Session::greet(tcp::socket socket) {
  error_code ignored;
  if (incoming_.size() >= kMaxUnidentified) {
    incoming_.front()->socket.close(ignored);
    incoming_.pop_front();
  }
  auto incoming = std::make_shared<Incoming>(std::move(socket));
  incoming_.push_back(incoming);
  incoming->timeout.expires_after(10s);
  incoming->timeout.async_wait([weak = std::weak_ptr(incoming)](const error_code& cancelled) {
    const auto late = weak.lock();
    error_code closing;
    if (!cancelled && late) late->socket.close(closing);
  });
  identify(std::move(incoming));
}

void Session::identify(std::shared_ptr<Incoming> incoming) {
  auto& in = *incoming;
  in.socket.async_read_some(asio::buffer(in.bytes.data() + in.filled, in.bytes.size() - in.filled),
                            [this, incoming](const error_code& ec, std::size_t n) {
                              incoming->filled += n;
                              const bool whole = incoming->filled == incoming->bytes.size();
                              if (!ec && !whole && !stopped_) return identify(incoming);
                              std::erase(incoming_, incoming);
                              incoming->timeout.cancel();
                              error_code remote_error;
                              const auto remote = incoming->socket.remote_endpoint(remote_error);
                              if (ec || remote_error || stopped_) return;
                              const auto theirs = wire::parse_handshake(incoming->bytes);
                              if (!theirs) return;
                              for (const Member& member : members_)
                                if (member.driver->wants(theirs->info_hash))
                                  return member.driver->accept(
                                      std::make_unique<TcpStream>(std::move(incoming->socket)),
                                      from_asio(remote), *theirs);
                            });
}

std::shared_ptr<TorrentDriver> Session::add(TorrentSetup setup) {
  setup.config.client_id = client_id_;
  setup.config.listen_port = port_;
  // Trackers' answers are held to the address policy before they get here.
  setup.config.peer_book.allow_local = true;
  setup.config.common_limits = limits_;
  const auto metainfo = setup.roots->metainfo();
  const bool in_dht = dht_ && dht_->has_nodes() && !metainfo->is_private;
  if (in_dht) setup.config.dht_port = port_;
  auto driver = std::make_shared<TorrentDriver>(io_, pool_, disk_, readers_, dialer_,
                                                std::move(setup), logger_);

  TorrentTrackers::Config config;
  config.tiers = metainfo->trackers;
  config.hashes = metainfo->hashes;
  config.peer_id = client_id_;
  config.key = tracker_key_;
  auto trackers = std::make_shared<TorrentTrackers>(
      io_.get_executor(), tracker_client_, std::move(config),
      [this, weak = std::weak_ptr(driver)] {
        TorrentTrackers::Stats stats;
        stats.port = port_;
        if (const auto self = weak.lock()) {
          const auto now = self->torrent().totals();
          stats.uploaded = now.uploaded;
          stats.downloaded = now.downloaded;
          stats.left = self->torrent().left();
        }
        return stats;
      },
      [weak = std::weak_ptr(driver)](const TorrentTrackers::Found& found) {
        const auto self = weak.lock();
        if (!self) return;
        std::vector<Endpoint> peers;
        for (const Endpoint& peer : found.peers)
          if (engine::may_connect(found.scope, peer.address)) peers.push_back(peer);
        self->add_candidates(peers, engine::PeerSource::tracker);
      },
      logger_);
  if (!driver->torrent().complete())
    driver->on_complete([weak = std::weak_ptr(trackers)] {
      if (const auto self = weak.lock()) self->completed();
    });
  const auto dht = in_dht ? join_dht(driver) : nullptr;
  driver->on_contradiction([weak = std::weak_ptr(trackers), weak_dht = std::weak_ptr(dht)] {
    if (const auto joined = weak_dht.lock()) joined->stop();
    if (const auto self = weak.lock()) self->stop([] {});
  });
  driver->on_pause([weak = std::weak_ptr(trackers), weak_dht = std::weak_ptr(dht)](bool paused) {
    if (const auto joined = weak_dht.lock()) paused ? joined->stop() : joined->start();
    const auto self = weak.lock();
    if (!self) return;
    if (paused) {
      self->stop([] {});
    } else {
      self->restart();
    }
  });
  driver->on_need_peers([weak = std::weak_ptr(trackers), weak_dht = std::weak_ptr(dht)] {
    if (const auto joined = weak_dht.lock()) joined->want_peers();
    if (const auto self = weak.lock()) self->want_peers();
  });
  driver->set_tracker_words([weak = std::weak_ptr(trackers)] {
    std::vector<std::string> lines;
    if (const auto self = weak.lock())
      for (const TorrentTrackers::Status& s : self->status())
        lines.push_back(s.tracker + ": " +
                        (!s.message.empty() ? s.message
                         : s.working        ? "answers"
                                            : "has not answered yet"));
    return lines;
  });
  members_.push_back({driver, trackers, dht});
  driver->start();
  trackers->start();
  if (dht) dht->start();
  return driver;
}

std::shared_ptr<TorrentDht> Session::join_dht(const std::shared_ptr<TorrentDriver>& driver) {
  const InfoHashes& hashes = driver->metainfo().hashes;
  std::vector<Sha1Hash> wanted;
  if (hashes.v1) wanted.push_back(*hashes.v1);
  if (const auto v2 = hashes.v2_truncated()) wanted.push_back(*v2);
  driver->on_dht_node([this](const Endpoint& node) { dht_->offer(node); });
  return std::make_shared<TorrentDht>(
      *dht_, io_.get_executor(), std::move(wanted),
      [this, weak = std::weak_ptr(driver)] {
        const auto self = weak.lock();
        return TorrentDht::Us{port_, self && self->torrent().complete()};
      },
      [weak = std::weak_ptr(driver)](const dht::FoundPeers& found) {
        const auto self = weak.lock();
        if (!self) return;
        // A node on the local network may name local peers, and nobody else may.
        const auto scope = engine::scope_after(engine::Scope::local, found.from.address);
        std::vector<Endpoint> peers;
        for (const Endpoint& peer : found.peers)
          if (engine::may_connect(scope, peer.address)) peers.push_back(peer);
        self->add_candidates(peers, engine::PeerSource::dht);
      },
      logger_);
}

void Session::set_limits(const engine::RateLimits& limits) {
  limits_->set(limits, std::chrono::steady_clock::now());
  for (const Member& member : members_) member.driver->limits_changed();
}

void Session::remove(const std::shared_ptr<TorrentDriver>& driver, const Error& why,
                     std::function<void()> done) {
  const auto member = std::find_if(members_.begin(), members_.end(),
                                   [&](const Member& m) { return m.driver.get() == driver.get(); });
  if (member == members_.end() || stopped_) return;
  const auto trackers = leaving_.insert(leaving_.end(), std::move(member->trackers));
  members_.erase(member);
  driver->stop(why);
  (*trackers)->stop([this, trackers, done = std::move(done)] {
    // Not from under its own feet: it is the tracker's announcing that calls.
    asio::post(io_, [this, trackers, done] {
      if (stopped_) return;
      leaving_.erase(trackers);
      done();
    });
  });
}

void Session::stop(std::function<void()> done) {
  stopped_ = true;
  error_code ignored;
  for (Listener& listener : listeners_) {
    listener.acceptor.close(ignored);
    listener.pause.cancel();
  }
  for (const auto& incoming : incoming_) incoming->socket.close(ignored);
  auto left = std::make_shared<std::size_t>(members_.size() + 1);
  auto one_done = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const Member& member : members_) {
    if (member.dht) member.dht->stop();
    member.driver->stop();
    member.trackers->stop(one_done);
  }
  asio::post(io_, one_done);
}

}  // namespace swarmfs::net
