// A session with its loop and torrents: what seed, get and mount have in common.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
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

  /// Joins the swarm of a torrent kept in `store`, which verifies with the same roots.
  std::shared_ptr<TorrentContent> add(std::shared_ptr<metainfo::PieceRoots> roots,
                                      std::unique_ptr<cache::Store> store,
                                      engine::TorrentConfig config);

  boost::asio::io_context& io() { return io_; }
  std::uint16_t port() const { return session_->port(); }
  /// Says goodbye to trackers and peers; run() returns soon after. From the loop's thread, or
  /// through a post to it.
  void stop();
  /// Serves until stop().
  void run();

 private:
  SwarmNode(std::vector<Endpoint> listen, std::vector<Endpoint> peers,
            std::shared_ptr<spdlog::logger> logger);

  boost::asio::io_context io_{1};
  std::shared_ptr<spdlog::logger> logger_;
  std::vector<Endpoint> peers_;
  /// Before the session, whose drivers use them until they are stopped.
  std::vector<std::shared_ptr<TorrentContent>> contents_;
  IdleChecker checker_;
  std::unique_ptr<net::Session> session_;
  bool stopping_ = false;
};

/// Memory for verified blocks beyond those the disk has yet to take.
inline constexpr std::uint64_t kBlockMemory = 16 << 20;

/// Verifies pieces of a manifest.
VerifyPiece verifier(std::shared_ptr<const metainfo::PieceRoots> roots);

}  // namespace swarmfs::mount
