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
#include "mount/links.h"
#include "mount/torrents.h"
#include "swarm/base/bytes.h"

namespace swarmfs::mount {

/// A .torrent file as it was when the mount was asked for, since it may be gone by now; or a link,
/// which is its own path and bytes.
struct ManifestFile {
  std::string path;  ///< absolute
  Bytes bytes;       ///< not parsed
};

/// Manifests, and paths of folders of them, as the command line named them; absolute.
struct ManifestPaths {
  std::vector<ManifestFile> files;
  std::vector<std::string> folders;
};

class Manifests {
 public:
  /// `kept`: where commands are remembered; nothing if they are not. `torrents` and `links` outlive
  /// stop().
  Manifests(Torrents& torrents, Links& links, std::optional<KeptManifests> kept,
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
  /// What a manifest's bytes are: a torrent, or a link to one.
  struct Manifest {
    std::shared_ptr<const metainfo::Metainfo> metainfo;  ///< null for a link
    ManifestLink link;
    std::string key;  ///< for KeptManifests
  };
  static Result<Manifest> read(const std::string& path, ByteView bytes);
  Result<Torrents::Added> bring(const Manifest& manifest, const Origin& origin);
  void forget_kept(const std::string& key, const std::string& name);
  void folder_has(const std::string& path);
  Result<> watch(const std::string& folder);
  void add_kept();

  Torrents& torrents_;
  Links& links_;
  std::shared_ptr<spdlog::logger> logger_;
  std::mutex mutex_;  ///< guards what follows
  std::optional<KeptManifests> kept_;
  bool begun_ = false;
  std::vector<std::unique_ptr<FolderWatch>> watches_;  ///< not guarded: begin() and stop() only
};

}  // namespace swarmfs::mount
