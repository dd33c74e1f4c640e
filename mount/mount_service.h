// A running mount: torrents, swarm, tree, FUSE and control socket, put together and taken apart in
// the right order.
#pragma once

#include <spdlog/logger.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "fs/tree.h"
#include "mount/control.h"
#include "mount/fuse_session.h"
#include "mount/manifests.h"
#include "mount/swarm_node.h"
#include "mount/torrents.h"

namespace swarmfs::mount {

struct MountOptions {
  ManifestPaths manifests;
  std::string mountpoint;  ///< canonical
  std::filesystem::path cache_folder;
  NetworkOptions network;
  bool on_demand = false;
  bool allow_other = false;
  Duration read_timeout = std::chrono::seconds(60);
};

class MountService {
 public:
  /// Reads the manifests, mounts and starts to serve: the tree is visible when this returns, and
  /// long before the torrents are opened.
  static Result<std::unique_ptr<MountService>> start(const MountOptions& options,
                                                     std::shared_ptr<spdlog::logger> logger);
  ~MountService();

  /// Returns when it is unmounted, or by SIGINT or SIGTERM; SIGHUP has folders of manifests looked
  /// through again. An ExitCode.
  int run();

 private:
  explicit MountService(const MountOptions& options, std::shared_ptr<spdlog::logger> logger);
  Result<> begin();
  Result<> mount();
  Result<> open_control();
  nlohmann::json status();
  nlohmann::json list();
  std::string peers_text();
  /// What a file of the hidden folder says. May take half a second.
  std::string info_text(const fs::InfoFile& file);
  nlohmann::json why(const std::string& path);

  const MountOptions options_;
  std::shared_ptr<spdlog::logger> logger_;
  fs::Tree tree_;
  /// Before the node: it closes what the node has let go.
  std::unique_ptr<Torrents> torrents_;
  std::unique_ptr<SwarmNode> node_;
  std::unique_ptr<Manifests> manifests_;
  std::unique_ptr<FuseSession> fuse_;
  std::unique_ptr<ControlServer> control_;
  std::jthread loop_;
};

}  // namespace swarmfs::mount
