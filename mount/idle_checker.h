// Verifies again, in time that nobody else wants, files that an earlier run has left complete.
//
// A piece of an earlier run is hashed before it is first handed out, and only a file with every
// piece verified in this run may be read by the kernel itself. Who opens such a file gets it
// through us; who opens it again some time later, at the disk's own speed.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "swarm/base/clock.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::mount {

/// Thread-safe. Its thread has the kernel's idle priority, and rests longer than it works, so that
/// the disk has time for others.
class IdleChecker {
 public:
  /// Verifies the next piece of a file that needs it; false if there was none. May wait for the
  /// disk.
  using Step = std::function<bool()>;

  IdleChecker() = default;
  ~IdleChecker() { stop(); }
  IdleChecker(const IdleChecker&) = delete;
  IdleChecker& operator=(const IdleChecker&) = delete;

  /// Takes the steps until one is false. `owner` and `file` name the work: it is queued once.
  void add(const void* owner, FileIndex file, Step step);
  /// Drops what is queued, ends the step in progress and the thread. Idempotent.
  void stop();

 private:
  using Key = std::pair<const void*, FileIndex>;
  void run();

  /// After each step: this many times as long as it took.
  static constexpr int kRest = 2;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<Key, Step>> queue_;
  std::set<Key> known_;  ///< queued or in progress
  bool ends_ = false;
  std::thread thread_;  ///< started at the first add()
};

}  // namespace swarmfs::mount
