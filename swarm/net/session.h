// The torrents of one process behind one listening port, one thread of decisions and a small pool
// for hashing and disk.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/result.h"
#include "swarm/net/local_discovery.h"
#include "swarm/net/metadata_driver.h"
#include "swarm/net/network_watch.h"
#include "swarm/net/peer_greeter.h"
#include "swarm/net/peer_search.h"
#include "swarm/net/port_mapping.h"
#include "swarm/net/route.h"
#include "swarm/net/torrent_driver.h"
#include "swarm/net/udp_port.h"
#include "swarm/net/utp_service.h"
#include "swarm/net/web_seeds.h"

namespace swarmfs::net {

struct SessionConfig {
  /// Where to listen; empty: every address of both families, port kDefaultPort, or another free
  /// one if that is taken. A port of 0 means any free one.
  std::vector<Endpoint> listen;
  Encryption encryption = Encryption::prefer;
  /// The distributed hash table, for torrents that are not private; nothing: not used. It is at the
  /// same addresses and ports, and silent until the first such torrent is there.
  std::optional<DhtConfig> dht{};
  /// Find peers on the local network (BEP 14), for torrents that are not private. Not with a proxy.
  bool lsd = false;
  /// By which way all of it goes. With a proxy nothing listens, and port() stays 0.
  RoutePtr route = Route::plain();
  unsigned max_connections = 0;  ///< of all torrents together; 0: as many as each may have
  bool tcp = true;
  bool utp = false;  ///< over UDP, at the numbers of the TCP ports
  /// Routers are asked to lead the port to us; nothing: they are not. Only with a route that is
  /// direct() and not bound().
  std::optional<PortMappingConfig> port_mapping{};
};

/// All methods on the io_context's thread, or before it runs.
class Session {
 public:
  static constexpr std::uint16_t kDefaultPort = 6881;

  Session(boost::asio::io_context& io, SessionConfig config,
          std::shared_ptr<spdlog::logger> logger);
  /// Once the loop no longer runs, or stop() has called back.
  ~Session();

  /// Opens the listening sockets. busy or permission if an address the user named is not to be
  /// had.
  Result<> listen();
  /// The port where we listen, 0 before listen().
  std::uint16_t port() const { return port_; }
  /// The ones that others are told: those of the router, where one leads its own to us.
  std::uint16_t told_port() const;
  std::uint16_t told_dht_port() const;
  /// What a router does for us; nothing where none is asked.
  std::optional<PortMapping::Status> mapped() const;

  /// Joins a torrent's swarm. Its peer id and port are filled in here.
  std::shared_ptr<TorrentDriver> add(TorrentSetup setup);

  /// Seeks the info dictionary of a torrent that is known by its hash alone, until add() has it in
  /// TorrentSetup::fetched, or give_up().
  std::shared_ptr<MetadataDriver> fetch_metadata(MetadataSetup setup);
  /// Seeks it no longer: connections close, trackers are told.
  void give_up(const std::shared_ptr<MetadataDriver>& fetch);
  /// Null if there is none.
  DhtService* dht() { return dht_ ? &*dht_ : nullptr; }

  /// The route's filter is another: the connections of whom it blocks close.
  void filter_changed();
  /// What all torrents together may do.
  void set_limits(const engine::RateLimits& limits);
  /// How many connections all torrents together may have; 0: as many as each of them may. Those
  /// beyond it close, of the torrents that have the most.
  void set_max_connections(unsigned most);
  /// Leaves a torrent's swarm: its reads end with `why` and its connections close at once. `done`
  /// comes on the io_context's thread when its trackers have been told, two seconds later at most;
  /// never if stop() comes before that.
  void remove(const std::shared_ptr<TorrentDriver>& driver, const Error& why,
              std::function<void()> done);

  /// Announces the end to trackers (at most two seconds), closes everything, then calls `done`.
  void stop(std::function<void()> done);

 private:
  /// Of each hash that peers may know a torrent by: what they name it by in MSE, and the hash.
  using MseKeys = std::vector<std::pair<Sha1Hash, Sha1Hash>>;
  static MseKeys mse_keys(const InfoHashes& hashes);
  struct Member {
    std::shared_ptr<TorrentDriver> driver;
    std::shared_ptr<PeerSearch> search;
    std::shared_ptr<WebSeeds> web_seeds;
    MseKeys mse_keys;
  };
  struct Fetch {
    std::shared_ptr<MetadataDriver> driver;
    std::shared_ptr<PeerSearch> search;
    MseKeys mse_keys;
  };
  struct Listener {
    Endpoint endpoint;
    boost::asio::ip::tcp::acceptor acceptor;
    boost::asio::steady_timer pause;
  };
  enum class Udp : std::uint8_t { optional, required };
  Result<> open(const Endpoint& endpoint, Udp udp);
  Result<> listen_anywhere();
  Result<> go_out();
  Result<> open_udp(const Endpoint& endpoint);
  void accept_next(Listener& listener);
  void watch_interface();
  void watch_networks();
  void network_changed(const engine::NetworkChange& change);
  engine::AddressFilterPtr filter() const;
  void map_ports();
  void ports_changed();
  PeerGreeter::Host door();
  std::shared_ptr<PeerSearch> seek_peers(const InfoHashes& hashes,
                                         const std::vector<std::vector<std::string>>& trackers);
  std::shared_ptr<PeerSearch> take_search(const std::shared_ptr<MetadataDriver>& fetch);
  void leave(std::shared_ptr<PeerSearch> search, std::function<void()> done);
  std::shared_ptr<WebSeeds> make_web_seeds(const TorrentSetup& setup,
                                           const std::shared_ptr<TorrentDriver>& driver);

  boost::asio::io_context& io_;
  boost::asio::thread_pool pool_{2};  ///< hashing
  boost::asio::thread_pool disk_{1};  ///< writing and reading what is not cached
  /// Reading for the filesystem, so that neither hashing nor writing is behind that.
  boost::asio::thread_pool readers_{4};
  SessionConfig config_;
  std::shared_ptr<spdlog::logger> logger_;
  PeerDialer dialer_;
  TrackerClient tracker_client_;
  std::shared_ptr<HttpContext> http_ = make_http_context(config_.route, {});  ///< of web seeds
  wire::ClientId client_id_;
  std::uint32_t tracker_key_ = 0;
  std::uint16_t port_ = 0;
  std::list<Listener> listeners_;
  std::vector<std::unique_ptr<UdpPort>> udp_;  ///< for both the hash table and uTP
  std::optional<DhtService> dht_;              ///< on udp_; its table is written on disk_
  std::optional<LocalDiscovery> lsd_;
  std::optional<PortMapping> mapping_;
  std::unique_ptr<NetworkWatch> networks_;        ///< null: the system does not tell us
  std::pair<std::uint16_t, std::uint16_t> told_;  ///< as ports_changed() has told last
  PeerGreeter greeter_;
  UtpService utp_;
  std::vector<Member> members_;
  std::vector<Fetch> fetches_;
  /// Shared, since torrents may end after the session.
  std::shared_ptr<engine::CommonLimits> limits_ = std::make_shared<engine::CommonLimits>();
  std::shared_ptr<engine::CommonRoom> room_ = std::make_shared<engine::CommonRoom>();
  std::list<std::shared_ptr<PeerSearch>> leaving_;  ///< say goodbye; nobody else has them
  boost::asio::steady_timer interface_timer_;
  unsigned interface_ = 0;  ///< that everything is bound to; see Route::interface_index()
  bool stopped_ = false;
};

}  // namespace swarmfs::net
