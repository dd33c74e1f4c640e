// A tracker for a private swarm: HTTP and UDP on the same port (BEP 3, 7, 15, 23, 48).
//
// It keeps no reply larger than its question for a UDP sender that has not shown, by a connection
// id, that it is where it says; and no HTTP connection longer than Options::connection_timeout.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/engine/tracker_book.h"

namespace swarmfs::net {

class TrackerServer {
 public:
  struct Options {
    /// Where to listen. Port 0 picks a free one, the same for all. An unspecified address of a
    /// family that this machine lacks is left out if another is there.
    std::vector<Endpoint> listen;
    engine::TrackerBook::Config book;
    std::size_t max_connections = 512;
    std::size_t max_connections_per_address = 64;
    Duration connection_timeout = std::chrono::seconds(10);  ///< whole HTTP exchange
  };

  /// Listens at once. Errors: busy (address in use), permission, network; they name the address.
  static Result<std::unique_ptr<TrackerServer>> open(boost::asio::any_io_executor executor,
                                                     Options options,
                                                     std::shared_ptr<spdlog::logger> logger);
  /// Closes every socket; the executor's thread only.
  ~TrackerServer();

  /// The addresses it listens on, each for TCP and UDP.
  std::vector<Endpoint> endpoints() const;
  /// Announce URLs for people to put into torrents: http and udp per endpoint, an unspecified
  /// address replaced by the one this machine would reach the internet from.
  std::vector<std::string> announce_urls() const;
  std::size_t connections() const;
  const engine::TrackerBook& book() const;

 private:
  struct Core;
  explicit TrackerServer(std::shared_ptr<Core> core);
  /// Shared with the coroutines that serve, which end a turn of the loop after the sockets close.
  std::shared_ptr<Core> core_;
};

}  // namespace swarmfs::net
