#include "swarm/net/session.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <random>
#include <string_view>
#include <utility>

#include "swarm/engine/address_policy.h"
#include "swarm/net/addresses.h"
#include "swarm/net/tcp_stream.h"
#include "swarm/net/tcp_transport.h"
#include "swarm/wire/mse.h"

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

/// TCP, which costs less CPU, goes first. RFC 8305's pause later, when it mostly has succeeded if
/// it will, or as soon as it has failed, uTP is tried too.
static std::vector<PeerDialer::Lane> lanes(const asio::any_io_executor& executor,
                                           const SessionConfig& config, UtpService& utp) {
  std::vector<PeerDialer::Lane> out;
  if (config.tcp)
    out.push_back({std::make_unique<TcpTransport>(executor, config.route), Duration{}});
  if (config.utp)
    out.push_back({std::make_unique<UtpTransport>(utp), config.tcp ? 250ms : Duration{}});
  return out;
}

Session::Session(asio::io_context& io, SessionConfig config, std::shared_ptr<spdlog::logger> logger)
    : io_(io),
      config_(std::move(config)),
      logger_(std::move(logger)),
      dialer_(io.get_executor(), config_.route, config_.encryption),
      tracker_client_(io.get_executor(), config_.route, TrackerClient::Options{}, logger_),
      greeter_(io.get_executor(), config_.encryption, door()),
      utp_(io.get_executor(),
           [this](std::unique_ptr<PeerStream> stream, const Endpoint& from) {
             greeter_.accept(std::move(stream), from);
           }),
      interface_timer_(io) {
  if (!config_.route->has_udp()) {
    if (config_.dht || config_.utp)
      logger_->warn("proxy {}: takes no datagrams, so the DHT, uTP and UDP trackers are off",
                    config_.route->proxy_name());
    config_.dht.reset();
    config_.utp = false;
  }
  room_->most = config_.max_connections;
  dialer_.set_lanes(lanes(io.get_executor(), config_, utp_));
  std::random_device random;
  client_id_ = make_client_id(random);
  tracker_key_ = random();
  if (config_.dht)
    dht_.emplace(io_.get_executor(), config_.route, disk_.get_executor(), *config_.dht, logger_);
  if (config_.lsd && config_.route->direct())
    lsd_.emplace(
        io_.get_executor(), config_.route, [this] { return port_; }, logger_);
}

Session::~Session() {
  for (const Member& member : members_) member.driver->stop();
  utp_.stop();
  for (const Fetch& fetch : fetches_) fetch.driver->stop();
  members_.clear();
  fetches_.clear();
  leaving_.clear();
  dht_.reset();
  pool_.join();
  disk_.join();
  readers_.join();
}

/// UDP at the port of TCP, where others look for it: for the hash table and uTP.
Result<> Session::open_udp(const Endpoint& endpoint) {
  auto port = UdpPort::open(io_.get_executor(), config_.route, endpoint);
  if (!port) return port.error();
  udp_.push_back(std::move(*port));
  if (dht_) dht_->add_port(*udp_.back());
  if (config_.utp) utp_.add_port(*udp_.back());
  return {};
}

Result<> Session::open(const Endpoint& endpoint, Udp udp) {
  auto acceptor = config_.route->listen(io_.get_executor(), endpoint);
  if (!acceptor) return acceptor.error();
  error_code ec;
  const std::uint16_t port = acceptor->local_endpoint(ec).port();
  if (dht_ || config_.utp) {
    if (auto opened = open_udp({endpoint.address, port}); !opened) {
      if (udp == Udp::required) return opened;
      logger_->warn("neither DHT nor uTP there: {}", opened.error().message);
    }
  }
  port_ = port;
  listeners_.push_back({{endpoint.address, port}, std::move(*acceptor), asio::steady_timer(io_)});
  if (config_.tcp) accept_next(listeners_.back());
  return {};
}

/// With a proxy: nobody can reach us, so nothing listens. What goes over UDP has a port of each
/// family all the same, by which others are asked.
Result<> Session::go_out() {
  logger_->info("everything goes through the proxy {}; nothing listens",
                config_.route->proxy_name());
  if (!dht_ && !config_.utp) return {};
  for (const IpAddress& any : {IpAddress::v4({}), IpAddress::v6({})})
    if (auto opened = open_udp({any, 0}); !opened) return opened;
  // One for both: what one port has to say is true of the other.
  udp_.front()->set_on_trouble([this](const std::string& why) {
    if (why.empty()) {
      logger_->info("datagrams go through the proxy again");
    } else {
      logger_->warn("no datagrams: {}", why);
    }
  });
  return {};
}

/// What listens on an interface that has gone hears nothing when it is back, as another.
void Session::watch_interface() {
  interface_timer_.expires_after(1s);
  interface_timer_.async_wait([this](const error_code& cancelled) {
    if (cancelled || stopped_) return;
    const unsigned index = config_.route->interface_index();
    if (index != 0 && index != interface_) {
      bool all = true;
      for (Listener& listener : listeners_) {
        error_code ignored;
        listener.acceptor.close(ignored);
        auto acceptor = config_.route->listen(io_.get_executor(), listener.endpoint);
        all = all && acceptor;
        if (!acceptor) continue;
        listener.acceptor = std::move(*acceptor);
        if (config_.tcp) accept_next(listener);
      }
      for (const auto& port : udp_) all = port->rebind() && all;
      logger_->info("the interface is back{}", all ? "" : ", but not all can listen there yet");
      if (all) interface_ = index;
    } else if (index == 0 && interface_ != 0) {
      logger_->warn("the interface is gone: nothing goes anywhere until it is back");
      interface_ = 0;
    }
    watch_interface();
  });
}

void Session::watch_networks() {
  auto watch = NetworkWatch::start(
      io_.get_executor(), [this](const engine::NetworkChange& change) { network_changed(change); });
  if (watch) {
    networks_ = std::move(*watch);
  } else {
    logger_->debug("{}: not noticed", watch.error().message);
  }
}

/// What failed before may work now, and nobody need wait until it is tried again anyway.
void Session::network_changed(const engine::NetworkChange& change) {
  if (stopped_) return;
  logger_->info("the network has {}", change.came ? "changed: peers and trackers are asked again"
                                                  : "gone, or a part of it");
  for (const Member& member : members_) {
    member.driver->network_changed(change);
    if (change.came) member.search->network_changed();
    if (change.came) member.web_seeds->network_changed();
  }
  if (!change.came) return;
  for (const Fetch& fetch : fetches_) {
    fetch.driver->network_changed();
    fetch.search->network_changed();
  }
  if (dht_) dht_->network_changed();
}

Result<> Session::listen() {
  watch_networks();
  if (!config_.route->direct()) return go_out();
  if (config_.route->bound()) {
    interface_ = config_.route->interface_index();
    watch_interface();
  }
  for (const Endpoint& endpoint : config_.listen)
    if (auto opened = open(endpoint, Udp::optional); !opened) return opened;
  if (config_.listen.empty())
    if (auto opened = listen_anywhere(); !opened) return opened;
  map_ports();
  return {};
}

/// Where the user named no address.
Result<> Session::listen_anywhere() {
  // The first of the families that there are, and the other.
  const bool v4 = config_.route->speaks(true);
  const IpAddress first = v4 ? IpAddress::v4({}) : IpAddress::v6({});
  for (std::uint16_t port = kDefaultPort; port < kDefaultPort + 10 && listeners_.empty(); ++port)
    if (!open({first, port}, Udp::required)) continue;
  if (listeners_.empty())
    if (auto opened = open({first, 0}, Udp::optional); !opened) return opened;
  // The same port number for both families; a machine without IPv6 does without.
  const std::uint16_t port = port_;
  if (v4 && config_.route->speaks(false) && !open({IpAddress::v6({}), port}, Udp::optional))
    port_ = port;
  return {};
}

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
    error_code gone;
    const auto remote = socket.remote_endpoint(gone);
    if (const Endpoint from = gone ? Endpoint() : from_asio(remote);
        !gone && !config_.route->blocks(from.address))
      greeter_.accept(std::make_unique<TcpStream>(std::move(socket)), from);
    accept_next(listener);
  });
}

/// What accepted connections of every transport are asked for.
PeerGreeter::Host Session::door() {
  PeerGreeter::Host host;
  host.find_torrent = [this](const Sha1Hash& torrent_key) -> std::optional<Sha1Hash> {
    const auto in = [&](const MseKeys& keys) -> std::optional<Sha1Hash> {
      for (const auto& [key, info_hash] : keys)
        if (key == torrent_key) return info_hash;
      return std::nullopt;
    };
    for (const Member& member : members_)
      if (const auto found = in(member.mse_keys)) return found;
    for (const Fetch& fetch : fetches_)
      if (const auto found = in(fetch.mse_keys)) return found;
    return std::nullopt;
  };
  host.greeted = [this](std::unique_ptr<PeerStream> stream, const Endpoint& from,
                        const wire::Handshake& theirs) {
    for (const Member& member : members_)
      if (member.driver->wants(theirs.info_hash))
        return member.driver->accept(std::move(stream), from, theirs);
    for (const Fetch& fetch : fetches_)
      if (fetch.driver->wants(theirs.info_hash))
        return fetch.driver->accept(std::move(stream), from, theirs);
    stream->close();
  };
  return host;
}

Session::MseKeys Session::mse_keys(const InfoHashes& hashes) {
  MseKeys keys;
  for (const std::optional<Sha1Hash>& hash : {hashes.v1, hashes.v2_truncated()})
    if (hash) keys.emplace_back(wire::mse::torrent_key(*hash), *hash);
  return keys;
}

/// The one place where a search for peers begins.
std::shared_ptr<PeerSearch> Session::seek_peers(
    const InfoHashes& hashes, const std::vector<std::vector<std::string>>& trackers) {
  TorrentTrackers::Config config;
  config.tiers = trackers;
  config.hashes = hashes;
  config.peer_id = client_id_;
  config.key = tracker_key_;
  PeerSearch::Open open;
  if (dht_ && dht_->has_nodes()) open.dht = &*dht_;
  if (lsd_) open.local = &*lsd_;
  return std::make_shared<PeerSearch>(io_.get_executor(), tracker_client_, std::move(config), open,
                                      logger_);
}

std::shared_ptr<MetadataDriver> Session::fetch_metadata(MetadataSetup setup) {
  engine::MetadataConfig config;
  config.hashes = setup.hashes;
  config.client_id = client_id_;
  config.client_name = "swarmfs " SWARMFS_VERSION;
  config.listen_port = told_port();
  config.peer_book.allow_local = true;  // as in add()
  config.peer_book.filter = filter();
  // Somebody waits, and addresses are few: each is tried again and again, ever more rarely.
  config.peer_book.retry_min = 2s;
  config.peer_book.retry_max = 5min;
  config.peer_book.max_failures = 100;
  const auto search = seek_peers(setup.hashes, setup.trackers);
  MseKeys keys = mse_keys(setup.hashes);
  auto driver =
      std::make_shared<MetadataDriver>(io_, dialer_, std::move(config), std::move(setup), logger_);
  search->serve(
      [this] {
        TorrentTrackers::Stats stats;
        stats.port = told_port();
        stats.left = wire::kMetadataPiece;  // how much is not known; 0 would make us a seed
        return stats;
      },
      [weak = std::weak_ptr(driver)](const std::vector<Endpoint>& peers,
                                     engine::PeerSource source) {
        if (const auto self = weak.lock()) self->add_candidates(peers, source);
      });
  driver->on_need_peers([weak = std::weak_ptr(search)] {
    if (const auto self = weak.lock()) self->want_peers();
  });
  driver->set_search_words([weak = std::weak_ptr(search)] {
    const auto self = weak.lock();
    return self ? self->words() : std::vector<std::string>{};
  });
  fetches_.push_back({driver, search, std::move(keys)});
  driver->start();
  search->start();
  return driver;
}

std::shared_ptr<PeerSearch> Session::take_search(const std::shared_ptr<MetadataDriver>& fetch) {
  const auto it = std::find_if(fetches_.begin(), fetches_.end(),
                               [&](const Fetch& f) { return f.driver == fetch; });
  if (it == fetches_.end()) return nullptr;
  const auto search = it->search;
  fetches_.erase(it);
  return search;
}

void Session::give_up(const std::shared_ptr<MetadataDriver>& fetch) {
  const auto search = take_search(fetch);
  fetch->stop();
  if (search && !stopped_) leave(search, [] {});
}

std::shared_ptr<TorrentDriver> Session::add(TorrentSetup setup) {
  setup.config.client_id = client_id_;
  setup.config.listen_port = told_port();
  // Trackers' answers are held to the address policy before they get here.
  setup.config.peer_book.allow_local = true;
  setup.config.peer_book.filter = filter();
  setup.config.common_limits = limits_;
  setup.config.common_room = room_;
  setup.config.exchange_peers = true;
  const auto metainfo = setup.roots->metainfo();
  const auto fetched = std::exchange(setup.fetched, nullptr);
  const bool in_dht = dht_ && dht_->has_nodes() && !metainfo->is_private;
  if (in_dht) setup.config.dht_port = told_dht_port();
  setup.config.holepunch = config_.utp && config_.route->direct();
  auto driver =
      std::make_shared<TorrentDriver>(io_, pool_, disk_, readers_, dialer_, setup, logger_);
  const auto web_seeds = make_web_seeds(setup, driver);

  const auto begun = fetched ? take_search(fetched) : nullptr;
  const auto search = begun ? begun : seek_peers(metainfo->hashes, metainfo->trackers);
  if (metainfo->is_private)
    search->trackers_alone([weak = std::weak_ptr(driver)] {
      if (const auto self = weak.lock()) self->leave_swarm();
    });
  search->serve(
      [this, weak = std::weak_ptr(driver)] {
        TorrentTrackers::Stats stats;
        stats.port = told_port();
        if (const auto self = weak.lock()) {
          const auto now = self->torrent().totals();
          stats.uploaded = now.uploaded;
          stats.downloaded = now.downloaded;
          stats.left = self->torrent().left();
        }
        return stats;
      },
      [weak = std::weak_ptr(driver)](const std::vector<Endpoint>& peers,
                                     engine::PeerSource source) {
        if (const auto self = weak.lock()) self->add_candidates(peers, source);
      });
  if (!driver->torrent().complete())
    driver->on_complete([weak = std::weak_ptr(search)] {
      if (const auto self = weak.lock()) self->completed();
    });
  if (in_dht) driver->on_dht_node([this](const Endpoint& node) { dht_->offer(node); });
  driver->on_contradiction([weak = std::weak_ptr(search)] {
    if (const auto self = weak.lock()) self->stop([] {});
  });
  driver->on_pause([weak = std::weak_ptr(search), seeds = std::weak_ptr(web_seeds)](bool paused) {
    if (const auto self = seeds.lock()) paused ? self->stop() : self->start();
    const auto self = weak.lock();
    if (!self) return;
    if (paused) {
      self->stop([] {});
    } else {
      self->restart();
    }
  });
  driver->on_need_peers([weak = std::weak_ptr(search)] {
    if (const auto self = weak.lock()) self->want_peers();
  });
  driver->set_tracker_words([weak = std::weak_ptr(search), seeds = std::weak_ptr(web_seeds)] {
    std::vector<std::string> lines;
    if (const auto self = seeds.lock()) lines = self->words();
    if (const auto self = weak.lock())
      for (std::string& line : self->words()) lines.push_back(std::move(line));
    return lines;
  });
  members_.push_back({driver, search, web_seeds, mse_keys(metainfo->hashes)});
  if (fetched) {  // before it dials anybody
    fetched->hand_over([&](const std::shared_ptr<PeerConnection>& connection,
                           const engine::AdoptedPeer& known) { driver->adopt(connection, known); });
    std::map<engine::PeerSource, std::vector<Endpoint>> known;
    for (const auto& [endpoint, source] : fetched->fetch().candidates())
      known[source].push_back(endpoint);
    for (const auto& [source, endpoints] : known) driver->add_candidates(endpoints, source);
  }
  driver->start();
  if (begun) {
    search->add_hashes(metainfo->hashes);
  } else {
    search->start();
  }
  web_seeds->start();
  return driver;
}

std::shared_ptr<WebSeeds> Session::make_web_seeds(const TorrentSetup& setup,
                                                  const std::shared_ptr<TorrentDriver>& driver) {
  std::vector<WebSeeds::Given> given;
  for (const std::string& url : setup.web_seeds)
    given.push_back({url, engine::WebSeedFiles::Kind::files, true});
  if (setup.manifest_web_seeds)
    for (WebSeeds::Given& one : web_seeds_of(*setup.roots->metainfo()))
      given.push_back(std::move(one));
  WebSeeds::Ports ports;
  ports.wanted = [weak = std::weak_ptr(driver)] {
    const auto self = weak.lock();
    return self && !self->torrent().complete() && !self->torrent().paused();
  };
  ports.connected = [weak = std::weak_ptr(driver)](std::unique_ptr<PeerStream> stream,
                                                   const Endpoint& server,
                                                   const wire::Handshake& theirs, Duration rtt) {
    if (const auto self = weak.lock()) self->add_web_seed(std::move(stream), server, theirs, rtt);
  };
  return std::make_shared<WebSeeds>(io_.get_executor(), http_, *setup.roots->metainfo(), given,
                                    std::move(ports), logger_);
}

engine::AddressFilterPtr Session::filter() const {
  return config_.route->filter() ? config_.route->filter()->get() : nullptr;
}

void Session::filter_changed() {
  const auto now = filter();
  for (const Member& member : members_) member.driver->set_filter(now);
  for (const Fetch& fetch : fetches_) fetch.driver->set_filter(now);
}

void Session::set_max_connections(unsigned most) {
  room_->most = most;
  if (most == 0) return;
  std::vector<unsigned> counts;
  for (const Member& member : members_) counts.push_back(member.driver->torrent().connected());
  const unsigned share = engine::fair_share(counts, most);
  for (const Member& member : members_) member.driver->shed(share);
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
  const auto search = std::move(member->search);
  member->web_seeds->stop();
  members_.erase(member);
  driver->stop(why);
  leave(search, std::move(done));
}

/// Has it say goodbye; nobody else holds it.
void Session::leave(std::shared_ptr<PeerSearch> search, std::function<void()> done) {
  const auto at = leaving_.insert(leaving_.end(), std::move(search));
  (*at)->stop([this, at, done = std::move(done)] {
    // Not from under its own feet: it is the tracker's announcing that calls.
    asio::post(io_, [this, at, done] {
      if (stopped_) return;
      leaving_.erase(at);
      done();
    });
  });
}

void Session::stop(std::function<void()> done) {
  stopped_ = true;
  error_code ignored;
  interface_timer_.cancel();
  networks_.reset();
  for (Listener& listener : listeners_) {
    listener.acceptor.close(ignored);
    listener.pause.cancel();
  }
  greeter_.close();
  auto left = std::make_shared<std::size_t>(members_.size() + fetches_.size() + 2);
  auto one_done = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const Member& member : members_) {
    member.driver->stop();
    member.web_seeds->stop();
    member.search->stop(one_done);
  }
  for (const Fetch& fetch : fetches_) {
    fetch.driver->stop();
    fetch.search->stop(one_done);
  }
  utp_.stop();
  if (mapping_) {
    mapping_->stop(one_done);
  } else {
    asio::post(io_, one_done);
  }
  asio::post(io_, one_done);
}

}  // namespace swarmfs::net
