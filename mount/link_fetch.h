// Follows one link to its manifest: a magnet link to peers that have the metadata, a URL to its
// server, again and again until it answers.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mount/link.h"
#include "mount/swarm_node.h"
#include "swarm/net/http_client.h"
#include "swarm/net/task.h"

namespace swarmfs::mount {

/// On the node's loop. Owned by shared_ptr: what is under way finds out that it is gone.
class LinkFetch : public std::enable_shared_from_this<LinkFetch> {
 public:
  struct Options {
    bool retry = true;  ///< of a URL: an error of the server or the network is not the end
  };
  /// What manifest_of() takes, or why there will be nothing. Once, never from inside start().
  using Done = std::function<void(Result<Bytes>)>;

  /// `node` outlives this, or the end of its loop.
  LinkFetch(SwarmNode& node, ManifestLink link, Options options, Done done);
  ~LinkFetch();
  void start();
  /// Ends it, also its search for peers. Idempotent.
  void give_up();
  /// What brought the metadata, for the torrent to take over. Null for a URL. From then on giving
  /// up is the taker's.
  std::shared_ptr<net::MetadataDriver> take_driver();

  struct Progress {
    engine::MetadataFetch::Stats swarm;
    std::vector<std::string> lines;  ///< what trackers, or the server, said last
  };
  Progress progress() const;

 private:
  void get();
  void got(Result<net::HttpReply> reply);

  SwarmNode& node_;
  const ManifestLink link_;
  const Options options_;
  Done done_;
  std::shared_ptr<net::MetadataDriver> driver_;
  std::shared_ptr<net::HttpContext> http_;
  std::shared_ptr<net::Task> task_;
  boost::asio::steady_timer timer_;
  Duration pause_;
  std::string last_error_;
};

/// Runs the node's loop until the link has led to its manifest, or `timeout` has passed (zero:
/// never), or the node is stopped. Before run(). `driver`: gets what take_driver() gives.
Result<metainfo::Metainfo> follow(SwarmNode& node, const ManifestLink& link, Duration timeout,
                                  std::shared_ptr<net::MetadataDriver>& driver);

/// A manifest that is a file or a link, for commands that need it before they do anything else. A
/// link is followed by a node of its own, at most for `timeout`, by that route.
Result<metainfo::Metainfo> load_manifest(const std::string& text, Duration timeout,
                                         const RouteOptions& route,
                                         const std::shared_ptr<spdlog::logger>& logger);

}  // namespace swarmfs::mount
