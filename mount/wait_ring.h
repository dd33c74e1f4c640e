// Reads that wait, and those that waited lately: what the filesystem knows of them, for people.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fs/tree.h"
#include "swarm/base/clock.h"
#include "swarm/base/content_source.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::mount {

/// A read that has no answer yet.
struct WaitingRead {
  const ContentSource* source = nullptr;  ///< only to be compared
  ReadId id;                              ///< what the source calls it
  fs::Ino ino = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  ///< bytes
  pid_t tid = 0;             ///< the reading thread; 0 if it cannot be seen from here
  TimePoint since;
};

/// A read that waited and has its answer.
struct PastWait {
  fs::Ino ino = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  pid_t tid = 0;
  TimePoint ended;
  Duration waited{};
  int error = 0;  ///< errno; 0: all bytes were delivered
  ReadStory story;
};

/// The last reads that waited. Thread-safe; reads that do not wait never come here.
class WaitRing {
 public:
  static constexpr std::size_t kKept = 64;
  /// Shorter waits are not worth a place.
  static constexpr Duration kNoted = std::chrono::milliseconds(10);

  void note(PastWait wait) {
    const std::lock_guard lock(mutex_);
    if (waits_.size() == kKept) waits_.pop_back();
    waits_.push_front(std::move(wait));
  }
  /// The one that ended last comes first.
  std::vector<PastWait> recent() const {
    const std::lock_guard lock(mutex_);
    return {waits_.begin(), waits_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::deque<PastWait> waits_;
};

}  // namespace swarmfs::mount
