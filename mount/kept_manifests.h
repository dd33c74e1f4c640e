// What came and went while a mount ran, kept so that a new process with the same options goes on
// from there: the manifests added by command, and which torrents were removed.
//
// Files of a folder beside the control socket, each written under another name and then renamed:
//   for                     what the mount was started with; anything else and the rest is void
//   <number>-<hash>.torrent a manifest, in the order in which they were added
//   <hash>.removed          empty
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

/// Not thread-safe. A mount without it (its folder cannot be made) works, and forgets.
class KeptManifests {
 public:
  /// Keeps what is in the folder if it was kept for the same `options`, any text; else clears it.
  /// The folder is made when there is something to keep.
  KeptManifests(std::filesystem::path folder, std::string options);

  /// Manifests to add, in order.
  std::vector<std::filesystem::path> added() const;
  /// Info hashes, in hexadecimal, of what is not to be shown although the options say so.
  const std::set<std::string>& removed() const { return removed_; }

  /// `hash`: the primary info hash, in hexadecimal.
  Result<> add(const std::string& hash, ByteView manifest);
  Result<> remove(const std::string& hash);
  /// It is wanted again, by whoever brings it.
  void forget_removal(const std::string& hash);
  /// The mount has ended in order: nothing of it is kept.
  void clear();

 private:
  Result<> make_folder() const;
  Result<> write(const std::string& name, ByteView bytes) const;
  void drop_manifests(const std::string& hash);

  const std::filesystem::path folder_;
  const std::string options_;
  std::set<std::string> names_;  ///< of the kept manifests' files: sorted as they were added
  std::set<std::string> removed_;
};

}  // namespace swarmfs::mount
