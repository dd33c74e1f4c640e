// Links of a mount that have not led to their torrent yet.
//
// Each is shown as a folder with a text file in it that says what is waited for. Once the manifest
// is here the torrent takes the folder's place, whatever name it has, and the connections that
// brought it. A link that leads nowhere stays, and says so.
#pragma once

#include <spdlog/logger.h>

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mount/link_fetch.h"
#include "mount/torrents.h"

namespace swarmfs::mount {

/// Thread-safe. Nothing here waits for the network.
class Links {
 public:
  /// All of them outlive stop(); the node's loop runs, or will.
  Links(std::filesystem::path cache, SwarmNode& node, Torrents& torrents, fs::Tree& tree,
        std::shared_ptr<spdlog::logger> logger);
  ~Links() { stop(); }

  /// Shows what the link leads to: the torrent, if its metadata is kept or it is mounted already,
  /// else a folder until it is found. May read the disk.
  Result<Torrents::Added> add(const ManifestLink& link, const Origin& origin);
  struct Removed {
    std::string key;  ///< of the link
    std::vector<Origin> origins;
  };
  /// Takes one away that still waits. Nothing if none is shown by this name.
  std::optional<Removed> remove(const std::string& name);
  /// This origin wants its link no longer; it goes if nobody else does.
  void drop(const Origin& origin);

  struct Waiting {
    std::string name;  ///< as the mount shows it
    std::string text;  ///< the link, for people
    InfoHashes hashes;
    std::vector<Origin> origins;
    double seconds = 0;  ///< since it came
    /// Why it is waited for no longer: what it led to is no torrent.
    std::optional<Error> broken;
    std::optional<LinkFetch::Progress> progress;  ///< nothing: the loop is too busy to say
  };
  /// Those that wait, in the order in which they came. May take half a second if the loop is busy.
  std::vector<Waiting> list() const;
  /// What the file in the folder says.
  std::string text_of(const std::string& name) const;
  /// Whether any waits that is not broken.
  bool pending() const;

  /// Ends what is under way; the loop still turns. Before the torrents' stop().
  void stop();

 private:
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;
  void begin(const EntryPtr& entry);
  void arrived(const EntryPtr& entry, Result<Bytes> bytes);
  Result<Torrents::Added> mount(const ManifestLink& link, const Bytes& bytes,
                                const std::vector<Origin>& origins, Torrents::Coming coming);
  void take_away(const EntryPtr& entry);

  const std::filesystem::path cache_;
  SwarmNode& node_;
  Torrents& torrents_;
  fs::Tree& tree_;
  const std::shared_ptr<spdlog::logger> logger_;
  mutable std::mutex mutex_;  ///< guards what follows; nothing else is asked with it held
  std::condition_variable changed_;
  std::vector<EntryPtr> entries_;
  bool stopped_ = false;
  WorkPool parsers_{1};
};

}  // namespace swarmfs::mount
