// Tells the kernel when the attributes of a file that still arrives are no longer what it has.
//
// So the kernel may keep them as long as it likes: a listing of many files that are not here costs
// no question for each of them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "fs/tree.h"
#include "swarm/base/clock.h"

namespace swarmfs::mount {

/// Thread-safe. Costs nothing while no byte arrives, and nothing at all while every file that was
/// shown is complete.
class AttributeWatch {
 public:
  /// Makes the kernel forget the attributes of an inode: 0, -ENOENT if it has none, or an errno.
  using Forget = std::function<int(fs::Ino)>;

  /// The tree outlives this.
  explicit AttributeWatch(const fs::Tree& tree) : tree_(tree) {}
  ~AttributeWatch() { stop(); }
  AttributeWatch(const AttributeWatch&) = delete;
  AttributeWatch& operator=(const AttributeWatch&) = delete;

  /// Looks at what has changed once in `period`, on a thread of its own.
  void start(Forget forget, Duration period);
  /// Idempotent.
  void stop();

  /// Before attributes that are not final are given to the kernel.
  void give(const fs::Attributes& attributes);
  /// One look: for tests, and for the thread.
  void look();
  /// Inodes watched.
  std::size_t size() const;

 private:
  struct Given {
    std::uint64_t blocks = 0;
    bool unsure = false;  ///< two answers were on their way: who knows which one arrived last
    bool missed = false;  ///< the kernel did not know the inode, or not yet
  };
  void run(Duration period);

  const fs::Tree& tree_;
  Forget forget_;
  mutable std::mutex mutex_;  ///< never held while the kernel is told: it may wait for us
  std::condition_variable wake_;
  std::unordered_map<fs::Ino, Given> given_;
  std::uint64_t seen_changes_ = 0;
  bool again_ = false;  ///< the last look has left something to do
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace swarmfs::mount
