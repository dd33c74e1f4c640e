// A folder of manifests, watched: says which are there, which come, change and go.
//
// A file counts once it is written to its end and closed, or moved in whole; names that start with
// a dot and those that end in neither ".torrent" nor ".magnet" never count. The kernel's events
// only say where to look: what is told follows from what is there then, so an event that is lost,
// or comes twice, does no harm. After lost events, and after the folder itself was replaced, all of
// it is looked through again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "swarm/base/clock.h"
#include "swarm/base/fd.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

/// Called from start() and then from the watch's thread, one call at a time. `path` is the folder's
/// path and the name.
struct FolderEvents {
  /// There is such a file, or it is another than before.
  std::function<void(const std::string& path)> there;
  /// It is there no longer. What came by the same look comes before what went: a rename is first
  /// the new name.
  std::function<void(const std::string& path)> gone;
  /// The folder cannot be watched any more, and why; it is tried again every second. Once for each
  /// time that happens.
  std::function<void(const Error& error)> lost;
};

class FolderWatch {
 public:
  /// Tells what is there before it returns. not_found, permission or io if it cannot be watched.
  static Result<std::unique_ptr<FolderWatch>> start(const std::string& folder, FolderEvents events);
  /// No event comes afterwards.
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  /// Looks through all of it soon, as after lost events. From any thread.
  void rescan();

 private:
  /// What tells one state of a file from another.
  struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    bool operator==(const Stamp&) const = default;
  };

  FolderWatch(std::string folder, FolderEvents events);
  Result<> begin();
  void run(const std::stop_token& stop);
  void read_events();
  void scan();
  void look_at(const std::string& name, bool closed);
  void tell_gone();

  const std::string folder_;
  const FolderEvents events_;
  Fd inotify_;
  Fd wake_;
  bool watching_ = false;
  bool scan_due_ = false;
  std::map<std::string, Stamp> known_;  ///< by name: what was told to be there
  std::set<std::string> missing_;       ///< to be told, unless they are back by then
  TimePoint missing_since_{};
  std::jthread thread_;  ///< last: ends before what it uses
};

}  // namespace swarmfs::mount
