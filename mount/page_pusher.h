// Puts content into the kernel's page cache unasked, on a thread of its own: the kernel makes it
// wait while a READ of the same pages is outstanding.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "fs/tree.h"
#include "mount/open_file.h"

struct fuse_session;

namespace swarmfs::mount {

/// Best effort: what finds the queue full, or is here no longer, is dropped, and the kernel asks
/// for it again.
class PagePusher {
 public:
  /// Called from the thread after [begin, end) of an inode is in the page cache.
  using Stored = std::function<void(fs::Ino, std::uint64_t begin, std::uint64_t end)>;

  explicit PagePusher(Stored stored);
  ~PagePusher();
  PagePusher(const PagePusher&) = delete;
  PagePusher& operator=(const PagePusher&) = delete;

  void start(fuse_session* session);
  /// Bytes of the file that are here. They start at a page's start, and end at a page's or the
  /// file's end.
  void push(std::shared_ptr<OpenFile> file, std::uint64_t offset, std::uint32_t length);
  /// Drops what is queued and ends the thread. READs must still be answered meanwhile. Idempotent.
  void stop();

 private:
  struct Item {
    std::shared_ptr<OpenFile> file;
    std::uint64_t offset;
    std::uint32_t length;
  };
  void run();
  void store(const Item& item);

  static constexpr std::size_t kMaxQueued = 256;
  const Stored stored_;
  fuse_session* session_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> queue_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace swarmfs::mount
