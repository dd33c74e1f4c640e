// A session with its loop and torrents: what seed, get and mount have in common.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mount/network_options.h"
#include "mount/torrent_content.h"
#include "swarm/net/session.h"

namespace swarmfs::mount {

class SwarmNode {
 public:
  /// Starts to listen. Errors: bad_input for the options, busy or permission for the address.
  static Result<std::unique_ptr<SwarmNode>> create(const NetworkOptions& options,
                                                   std::shared_ptr<spdlog::logger> logger);
  ~SwarmNode();

  const net::RoutePtr& route() const { return route_; }

  /// Gets a content that nobody uses any more, on whatever thread that was noticed. Destroying it
  /// waits for the disk, which is for a thread that may.
  using Dispose = std::function<void(std::unique_ptr<TorrentContent>)>;
  /// Joins the swarm of a torrent kept in `store`, which verifies with the same roots. On the
  /// loop's thread, or before run(). Without `dispose` the last user destroys it. `fetched`, if
  /// any, is what brought the metadata.
  std::shared_ptr<TorrentContent> add(std::shared_ptr<metainfo::PieceRoots> roots,
                                      std::unique_ptr<cache::Store> store,
                                      engine::TorrentConfig config, Dispose dispose = {},
                                      std::shared_ptr<net::MetadataDriver> fetched = nullptr);
  /// As net::Session has it; the peers that the user named are asked too. On the loop's thread, or
  /// before run().
  std::shared_ptr<net::MetadataDriver> fetch_metadata(net::MetadataSetup setup);
  /// Thread-safe, unless the loop has ended.
  void give_up(std::shared_ptr<net::MetadataDriver> fetch);
  /// Leaves the swarm: reads that wait end with `why` at once, trackers are told. On the loop's
  /// thread. Content and store end when nobody else uses them.
  void remove(const std::shared_ptr<TorrentContent>& content, const Error& why);

  /// Reads the lists of --ip-filter again; if one cannot be read, what held goes on to hold, and
  /// the log says so. Thread-safe; takes as long as load_ip_filters().
  void reload_filter();
  /// The same whenever the process gets SIGHUP, if there are lists; else that ends it. On the
  /// loop's thread, or before run().
  void reload_filter_on_hangup();

  /// What all torrents together may do; the rates until the schedule, if there is one, changes
  /// them. Thread-safe; holds from the next turn of the loop on.
  void set_limits(const Limits& limits);
  Limits limits() const;
  /// The rule of --schedule for this moment as text, "" between rules; nothing without a schedule.
  /// Thread-safe.
  std::optional<std::string> scheduled() const;

  /// The nodes of the hash table, if it is used. `answer` runs on the loop's thread.
  void query_dht(std::function<void(std::vector<net::DhtService::NodeStatus>)> answer);

  /// What a router does for us; nothing where none is asked. `answer` runs on the loop's thread.
  void query_mapping(std::function<void(std::optional<net::PortMapping::Status>)> answer);

  boost::asio::io_context& io() { return *io_; }
  std::uint16_t port() const { return session_->port(); }
  /// Says goodbye to trackers and peers; run() returns soon after. From the loop's thread, or
  /// through a post to it.
  void stop();
  /// Serves until stop().
  void run();
  /// stop() was called. On the loop's thread.
  bool stopping() const { return stopping_; }

 private:
  void share_memory();
  void await_hangup();
  void keep_schedule();
  SwarmNode(const NetworkOptions& options, net::SessionConfig config, std::vector<Endpoint> peers,
            std::shared_ptr<spdlog::logger> logger);

  /// Shared: a content that was removed may be on its way to its end when this has ended.
  std::shared_ptr<boost::asio::io_context> io_ = std::make_shared<boost::asio::io_context>(1);
  std::shared_ptr<spdlog::logger> logger_;
  net::RoutePtr route_;
  std::vector<std::string> ip_filters_;
  unsigned max_peers_;
  RateSchedule schedule_;
  boost::asio::steady_timer schedule_timer_{*io_};
  std::optional<boost::asio::signal_set> hangup_;
  std::vector<Endpoint> peers_;
  std::vector<std::string> web_seeds_;
  bool manifest_web_seeds_;
  /// Before the session, whose drivers use them until they are stopped.
  std::vector<std::shared_ptr<TorrentContent>> contents_;
  std::vector<std::weak_ptr<TorrentContent>> removed_;
  IdleChecker checker_;
  std::unique_ptr<net::Session> session_;
  bool stopping_ = false;
  mutable std::mutex limits_mutex_;
  Limits limits_;  ///< as set last
};

/// Memory for verified blocks beyond those the disk has yet to take: for one torrent at most, and
/// for all together.
inline constexpr std::uint64_t kBlockMemory = 16 << 20;
inline constexpr std::uint64_t kAllBlockMemory = 64 << 20;

/// Verifies pieces of a manifest.
VerifyPiece verifier(std::shared_ptr<const metainfo::PieceRoots> roots);

}  // namespace swarmfs::mount
