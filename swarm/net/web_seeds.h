// The web seeds of one torrent: connects them, brings them to the driver as peers, and tries again
// those that fail.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swarm/engine/web_seed.h"
#include "swarm/metainfo/metainfo.h"
#include "swarm/net/http_client.h"
#include "swarm/net/peer_stream.h"
#include "swarm/net/web_seed_link.h"

namespace swarmfs::net {

class WebSeeds {
 public:
  struct Given {
    std::string url;
    engine::WebSeedFiles::Kind kind = engine::WebSeedFiles::Kind::files;
    bool users = false;  ///< named by the user: may be a local address whatever it looks like
  };
  struct Ports {
    /// False while nothing is to be fetched. Asked before each connection.
    std::function<bool()> wanted;
    /// A peer: its stream, the server's address, and the handshake it comes with.
    std::function<void(std::unique_ptr<PeerStream>, const Endpoint&, const wire::Handshake&,
                       Duration rtt)>
        connected;
  };
  /// Used of those that a torrent names; the user's own come first.
  static constexpr std::size_t kMost = 16;

  /// What is no usable URL is left out, with a warning.
  WebSeeds(boost::asio::any_io_executor executor, std::shared_ptr<HttpContext> context,
           const metainfo::Metainfo& metainfo, const std::vector<Given>& given, Ports ports,
           std::shared_ptr<spdlog::logger> logger);
  ~WebSeeds();
  WebSeeds(const WebSeeds&) = delete;
  WebSeeds& operator=(const WebSeeds&) = delete;

  void start();
  /// Ends all connections; nothing is called any more, unless it is started again.
  void stop();
  /// Our network came back or is another: those that failed are tried again now, unless their
  /// server has named a time.
  void network_changed();

  /// How each does, a line each, for people.
  std::vector<std::string> words() const;

 private:
  struct Seed;
  void begin(Seed& seed);
  void begin_in(Seed& seed, Duration wait);
  void on_ended(Seed& seed, const engine::WebSeedEnd& end);

  boost::asio::any_io_executor executor_;
  std::shared_ptr<HttpContext> context_;
  InfoHashes hashes_;
  Ports ports_;
  std::shared_ptr<spdlog::logger> logger_;
  std::string torrent_;  ///< its name
  std::vector<std::unique_ptr<Seed>> seeds_;
  bool running_ = false;
};

/// Those that a manifest names.
std::vector<WebSeeds::Given> web_seeds_of(const metainfo::Metainfo& metainfo);

}  // namespace swarmfs::net
