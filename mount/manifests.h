// Where a mount's torrents come from: the command line, folders that are watched, and commands.
//
// What commands add and remove is kept for a new process that goes on after this one's death, and
// forgotten when the mount ends in order. Who wants a torrent for good puts its manifest into a
// watched folder.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mount/folder_watch.h"
#include "mount/kept_manifests.h"
#include "mount/torrents.h"
#include "swarm/base/bytes.h"

namespace swarmfs::mount {

/// A .torrent file as it was when the mount was asked for: it may be gone by now.
struct ManifestFile {
  std::string path;  ///< absolute
  Bytes bytes;       ///< not parsed
};

/// .torrent files, and paths of folders of them, as the command line named them; absolute.
struct ManifestPaths {
  std::vector<ManifestFile> files;
  std::vector<std::string> folders;
};

class Manifests {
 public:
  /// `kept`: where commands are remembered; nothing if they are not. `torrents` outlives stop().
  Manifests(Torrents& torrents, std::optional<KeptManifests> kept,
            std::shared_ptr<spdlog::logger> logger);

  /// Adds what the paths and the earlier process brought, and begins to watch the folders. The
  /// error of a file that cannot be used, or of a folder that cannot be watched; a bad file in a
  /// folder is none. Once, before commands come.
  Result<> begin(const ManifestPaths& paths);
  /// Looks through the folders again, soon.
  void rescan();
  /// Watches no longer. Idempotent.
  void stop();
  /// The mount ends in order: what came by command is forgotten.
  void forget();

  // Control commands, on any thread: requests and replies as CONTROL.md has them.
  nlohmann::json add(const nlohmann::json& request);
  nlohmann::json remove(const nlohmann::json& request);
  nlohmann::json list();

 private:
  void folder_has(const std::string& path);
  Result<> watch(const std::string& folder);
  void add_kept();

  Torrents& torrents_;
  std::shared_ptr<spdlog::logger> logger_;
  std::mutex mutex_;  ///< guards what follows
  std::optional<KeptManifests> kept_;
  bool begun_ = false;
  std::vector<std::unique_ptr<FolderWatch>> watches_;  ///< not guarded: begin() and stop() only
};

}  // namespace swarmfs::mount
