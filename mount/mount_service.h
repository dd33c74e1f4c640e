// A running mount: stores, swarm, tree, FUSE and control socket, put together and taken apart in
// the right order.
#pragma once

#include <spdlog/logger.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "fs/tree.h"
#include "mount/control.h"
#include "mount/fuse_session.h"
#include "mount/swarm_node.h"

namespace swarmfs::mount {

struct MountOptions {
  std::vector<std::shared_ptr<const metainfo::Metainfo>> torrents;
  std::string mountpoint;  ///< canonical
  std::filesystem::path cache_folder;
  NetworkOptions network;
  bool on_demand = false;
  bool allow_other = false;
  bool passthrough = true;  ///< where the kernel and our privileges allow it
  Duration read_timeout = std::chrono::seconds(60);
};

class MountService {
 public:
  /// Opens everything, mounts and starts to serve: the tree is visible when this returns.
  static Result<std::unique_ptr<MountService>> start(const MountOptions& options,
                                                     std::shared_ptr<spdlog::logger> logger);
  ~MountService();

  /// Returns when it is unmounted, or by SIGINT or SIGTERM. An ExitCode.
  int run();

 private:
  explicit MountService(const MountOptions& options, std::shared_ptr<spdlog::logger> logger);
  Result<> open_torrents();
  Result<> add_to_tree(const std::shared_ptr<TorrentContent>& content);
  Result<> open_control();
  nlohmann::json status();
  nlohmann::json torrent_status(const std::shared_ptr<TorrentContent>& content);
  nlohmann::json why(const std::string& path);

  const MountOptions options_;
  std::shared_ptr<spdlog::logger> logger_;
  std::unique_ptr<SwarmNode> node_;
  std::vector<std::shared_ptr<TorrentContent>> contents_;
  fs::Tree tree_;
  std::unique_ptr<FuseSession> fuse_;
  std::unique_ptr<ControlServer> control_;
  std::jthread loop_;
};

}  // namespace swarmfs::mount
