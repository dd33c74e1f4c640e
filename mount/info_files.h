// The open text files of the hidden folder, and of links that wait. Each handle has the text of the
// moment it was opened.
//
// A text may take half a second to make, if the swarm's loop is busy, so opens are answered from a
// thread of their own: those that wait at the same time for the same text get the same.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fs/info.h"
#include "mount/libfuse.h"

namespace swarmfs::mount {

/// Thread-safe.
class InfoFiles {
 public:
  using MakeText = std::function<std::string(const fs::InfoFile&)>;

  ~InfoFiles() { stop(); }

  /// Whether a handle was given out here. Ours are odd numbers; those of files with content are
  /// addresses.
  static bool owns(const fuse_file_info& info) { return (info.fh & 1) != 0; }

  /// Before the first open. Without it every file is empty.
  void start(MakeText make_text);
  /// Answers the OPEN, now or soon.
  void open(fuse_req_t req, fs::InfoFile file, const fuse_file_info& info);
  void read(fuse_req_t req, const fuse_file_info& info, std::size_t size, off_t offset);
  void release(const fuse_file_info& info);
  /// Answers what waits with ENOTCONN, and every later open. Idempotent.
  void stop();

 private:
  struct Opening {
    fuse_req_t req;
    fs::InfoFile file;
    fuse_file_info info;
  };
  using Text = std::shared_ptr<const std::string>;
  void run();
  void answer(std::vector<Opening> openings);

  MakeText make_text_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable wake_;
  std::vector<Opening> waiting_;
  std::map<std::uint64_t, Text> open_;  ///< by handle
  std::uint64_t next_ = 1;              ///< always odd
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace swarmfs::mount
