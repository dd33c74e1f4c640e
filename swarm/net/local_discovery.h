// Local service discovery (BEP 14): announces torrents to peers on the local network, and hears
// theirs.
//
// Nothing is opened or sent before the first torrent joins. Announces go by every interface that
// is up (with --interface by that one alone), with a TTL of 1.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "swarm/engine/local_announces.h"
#include "swarm/net/local_networks.h"
#include "swarm/net/route.h"

namespace swarmfs::net {

/// All on the executor's thread.
class LocalDiscovery {
 public:
  using Found = std::function<void(const Endpoint&)>;

  /// Only if route->direct(). `port` is where peers reach us, asked before each announce; while it
  /// is 0 nothing is announced.
  LocalDiscovery(boost::asio::any_io_executor executor, RoutePtr route,
                 std::function<std::uint16_t()> port, std::shared_ptr<spdlog::logger> logger);
  LocalDiscovery(const LocalDiscovery&) = delete;
  LocalDiscovery& operator=(const LocalDiscovery&) = delete;

  /// A torrent's part: announced as long as this lives. The service outlives it.
  class Torrent {
   public:
    ~Torrent();
    Torrent(const Torrent&) = delete;
    Torrent& operator=(const Torrent&) = delete;
    /// Peers are lacking: announces before its time. Cheap to repeat.
    void want_peers();

   private:
    friend class LocalDiscovery;
    Torrent(LocalDiscovery& service, std::vector<Sha1Hash> hashes, Found found);
    LocalDiscovery& service_;
    std::vector<Sha1Hash> hashes_;
    Found found_;
  };
  /// Of hashes that nobody else has joined with. `found` comes with each peer that announces one of
  /// them, again and again, and must not end a Torrent.
  std::unique_ptr<Torrent> join(std::vector<Sha1Hash> hashes, Found found);

 private:
  /// The sockets of a family: bound to the group, so that nothing else gets in.
  struct Group {
    explicit Group(boost::asio::ip::udp::socket opened) : socket(std::move(opened)) {}
    boost::asio::ip::udp::socket socket;
    bool v4 = true;
    std::set<unsigned> joined;  ///< interfaces
    std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(2048);
    boost::asio::ip::udp::endpoint from;
  };
  void open();
  void arm();
  void announce();
  void look_around();
  void send(Group& group, const std::vector<Sha1Hash>& hashes, std::uint16_t port);
  void receive_next(Group& group);
  void on_datagram(const Endpoint& from, ByteView datagram);

  boost::asio::any_io_executor executor_;
  RoutePtr route_;
  std::function<std::uint16_t()> port_;
  std::shared_ptr<spdlog::logger> logger_;
  std::string cookie_;
  engine::LocalAnnounces announces_;
  std::list<Torrent*> torrents_;
  std::list<Group> groups_;
  std::vector<LocalInterface> interfaces_;
  std::vector<engine::LocalNetwork> networks_;  ///< of those
  boost::asio::steady_timer timer_;
  bool opened_ = false;
  /// Handlers hold it weakly: gone means we are.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
