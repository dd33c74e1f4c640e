// A running mount: torrents, swarm, tree, FUSE and control socket, put together and taken apart in
// the right order.
#pragma once

#include <spdlog/logger.h>
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "fs/tree.h"
#include "mount/control.h"
#include "mount/fuse_session.h"
#include "mount/links.h"
#include "mount/manifests.h"
#include "mount/swarm_node.h"
#include "mount/torrents.h"

namespace swarmfs::mount {

/// What happens to a mount, for whoever supervises it. Each may be called on any thread and must
/// not wait.
struct MountHooks {
  std::function<void(unsigned connection)> on_mounted = [](unsigned) {};
  std::function<void()> on_first_open = [] {};  ///< before a program's first open is answered
  std::function<void()> on_ending = [] {};  ///< it ends by its user's wish; may come several times
};

struct MountOptions {
  ManifestPaths manifests;
  std::string mountpoint;  ///< canonical
  std::filesystem::path cache_folder;
  NetworkOptions network;
  bool on_demand = false;
  bool allow_other = false;
  bool passthrough = true;  ///< where the kernel and our privileges allow it
  Duration read_timeout = std::chrono::seconds(60);
  pid_t supervisor_pid = 0;  ///< to show
  MountHooks hooks;
};

class MountService {
 public:
  /// Reads the manifests, mounts and starts to serve: the tree is visible when this returns, and
  /// long before the torrents are opened.
  static Result<std::unique_ptr<MountService>> start(MountOptions options,
                                                     std::shared_ptr<spdlog::logger> logger);
  ~MountService();

  /// Returns when it is unmounted, or by SIGINT or SIGTERM; SIGHUP has folders of manifests looked
  /// through again. An ExitCode.
  int run();

  /// Thread-safe; may take seconds if the loop is busy. As ControlHandlers::status.
  nlohmann::json status();
  /// Calls back from the loop if it still turns and a FUSE thread is free; else never. While run()
  /// runs; one thread at a time.
  void ask_alive(std::function<void()> alive);
  /// Takes the mount off the tree, for the case that the rest cannot end. While run() runs.
  void detach() { fuse_->detach(); }
  /// What SIGHUP asks for: takes up again what may have changed outside, such as a log file that
  /// was moved away. From any thread.
  void reload();

 private:
  explicit MountService(MountOptions options, std::shared_ptr<spdlog::logger> logger);
  Result<> begin();
  Result<> mount();
  Result<> open_control();
  void end();
  void say_unkept(const Result<>& kept);
  nlohmann::json list();
  std::string peers_text();
  /// What a file of the hidden folder says. May take half a second.
  std::string info_text(const fs::InfoFile& file);
  nlohmann::json why(const std::string& path);

  MountOptions options_;  ///< without the bytes of manifests once they are parsed
  std::shared_ptr<spdlog::logger> logger_;
  fs::Tree tree_;
  std::unique_ptr<KeptOrders> orders_;  ///< null where they are forgotten
  /// Before the node: it closes what the node has let go.
  std::unique_ptr<Torrents> torrents_;
  std::unique_ptr<Links> links_;
  std::unique_ptr<SwarmNode> node_;
  std::unique_ptr<Manifests> manifests_;
  std::unique_ptr<FuseSession> fuse_;
  std::unique_ptr<ControlServer> control_;
  std::jthread loop_;
};

}  // namespace swarmfs::mount
