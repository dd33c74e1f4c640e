// The torrents of a mount, and how they come and go while it runs.
//
// A torrent is shown as soon as its manifest is known; its store is opened behind that, several at
// a time, because it may take a check of the disk. One that cannot be opened stays as broken, with
// its reason, and is in nobody's way. A removed one is out of the tree at once, its reads end with
// `gone`, and its store closes when the last one who is just using it is done.
#pragma once

#include <spdlog/logger.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "fs/tree.h"
#include "mount/kept_orders.h"
#include "mount/swarm_node.h"
#include "mount/torrent_source.h"
#include "mount/work_pool.h"

namespace swarmfs::mount {

struct TorrentsOptions {
  std::filesystem::path cache_folder;
  bool on_demand = false;
  Duration read_timeout = std::chrono::seconds(60);
  KeptOrders* orders = nullptr;  ///< what a torrent is ordered to be when it comes; it outlives us
};

/// Who wants a torrent in the mount. It stays as long as anybody does.
struct Origin {
  enum class Kind : std::uint8_t { argument, folder, command };
  Kind kind = Kind::argument;
  std::string path;  ///< of the manifest
  auto operator<=>(const Origin&) const = default;
};

/// "argument", "folder" or "command".
const char* name_of(Origin::Kind kind);

/// A torrent of the mount. All of it is immutable but the source, which is thread-safe.
struct MountedTorrent {
  std::string name;  ///< as the mount shows it
  std::shared_ptr<const metainfo::Metainfo> metainfo;
  std::shared_ptr<TorrentSource> source;
};

/// A manifest that cannot be used.
struct BrokenManifest {
  Origin origin;
  Error error;
};

/// Thread-safe. Nothing here waits for the network; what waits for the disk says so.
class Torrents {
 public:
  /// What the kernel is to forget when a torrent leaves. Called with no lock of the tree's, the
  /// sources' or the set's held.
  struct Kernel {
    /// A name has left the tree.
    std::function<void(const std::string& name)> forget_name;
    /// No read of these files is under way any more. May wait for what the kernel is doing to them.
    std::function<void(const ContentSource& source)> forget_pages;
  };

  /// `node` and `tree` outlive stop(); the node's loop runs, or will.
  Torrents(TorrentsOptions options, SwarmNode& node, fs::Tree& tree,
           std::shared_ptr<spdlog::logger> logger);
  /// Closes every store, several at a time. After stop() and the end of the node.
  ~Torrents();
  Torrents(const Torrents&) = delete;
  Torrents& operator=(const Torrents&) = delete;

  /// Replaces what is told when a torrent leaves; waits for a call that runs.
  void tell(Kernel kernel);

  struct Added {
    std::string name;
    bool already = false;  ///< the same content was there, under this name
  };
  /// What comes with a torrent that a link has led to.
  struct Coming {
    std::string placeholder;  ///< the folder that stood for it: goes as it appears
    std::shared_ptr<net::MetadataDriver> fetched;  ///< what brought its metadata; may be null
    std::vector<FileIndex> only;  ///< fetch only these, and what is read; none: everything
  };
  /// Shows a torrent and begins to open it. The same content twice, by any of its info hashes, is
  /// one torrent that both origins want. bad_input for a name that cannot be shown; then what came
  /// with it is still the caller's.
  Result<Added> add(std::shared_ptr<const metainfo::Metainfo> metainfo, const Origin& origin,
                    Coming coming);
  Result<Added> add(std::shared_ptr<const metainfo::Metainfo> metainfo, const Origin& origin) {
    return add(std::move(metainfo), origin, {});
  }
  /// This origin wants a torrent too, if one of these hashes is there and not broken.
  std::optional<Added> join(const InfoHashes& hashes, const Origin& origin);
  /// Takes away a folder that stood for a torrent that will not come.
  void remove_placeholder(const std::string& name);
  /// Another has taken the place of this name in the tree: the kernel is to look again.
  void forget_name(const std::string& name);
  /// Notes a manifest that cannot be used, for broken(); what its path brought before goes.
  void add_broken(const Origin& origin, const Error& error);

  /// How a removal goes on: comes when the store is closed, and its data deleted if that was asked
  /// for, or with what went wrong.
  using Closed = std::shared_future<Result<>>;
  /// Takes a torrent away, whoever wants it. With `delete_data` its cache folder goes, and nothing
  /// else. not_found names what is there.
  Result<Closed> remove(const std::string& name, bool delete_data);
  /// This path wants its torrent no longer; the torrent goes if nobody else does.
  void drop(const Origin& origin);

  std::optional<MountedTorrent> find(const std::string& name) const;
  /// In the order in which they came.
  std::vector<MountedTorrent> list() const;
  std::vector<Origin> origins(const std::string& name) const;
  std::vector<BrokenManifest> broken() const;

  /// Waits until no torrent is just being opened, or at least one is open and `enough` has passed,
  /// or `at_most` has. The first error if all that there are is broken. What is broken otherwise,
  /// then or later, is logged.
  Result<> wait_opened(Duration enough, Duration at_most);

  /// Ends what is being opened, in the time that one read of the disk takes. Before the node ends.
  void stop();

 private:
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;
  EntryPtr same_content(const InfoHashes& hashes) const;
  EntryPtr named(const std::string& name) const;
  void open(const EntryPtr& entry, TimePoint until);
  void open_again(const EntryPtr& entry, TimePoint until);
  void broke(const EntryPtr& entry, const Error& error);
  void opened(const EntryPtr& entry, std::shared_ptr<metainfo::PieceRoots> roots,
              std::unique_ptr<cache::Store> store);
  void take_out(const EntryPtr& entry);
  std::shared_ptr<net::MetadataDriver> take_fetched(const EntryPtr& entry);
  void let_fetched_go(const EntryPtr& entry);
  void leave(const EntryPtr& entry);
  void leave_swarm(const EntryPtr& entry, const std::shared_ptr<TorrentContent>& content);
  void close(const EntryPtr& entry, std::unique_ptr<TorrentContent> content);
  void closed(const EntryPtr& entry);

  const TorrentsOptions options_;
  SwarmNode& node_;
  fs::Tree& tree_;
  std::shared_ptr<spdlog::logger> logger_;
  std::stop_source stopping_;

  std::shared_mutex kernel_mutex_;  ///< held, shared, while the kernel is told
  Kernel kernel_;

  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::vector<EntryPtr> entries_;
  std::set<std::string> closing_;  ///< cache folders of removed torrents that are not closed yet
  std::map<Origin, Error> broken_;
  bool log_broken_ = false;  ///< the start has succeeded: nobody else will say it

  WorkPool openers_{4};
  WorkPool closers_{4};
};

}  // namespace swarmfs::mount
