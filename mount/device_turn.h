// Whose turn it is to take requests from the FUSE device.
//
// One thread at a time reads the device and, as nearly every request is answered from memory in
// microseconds, answers what it took before it takes the next. With all threads in read(2) the
// kernel would wake another one for each request, on another processor, which costs several times
// what the answer does. Who is about to wait, or to copy much, passes the turn on first.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace swarmfs::mount {

/// Thread-safe.
class DeviceTurn {
 public:
  /// Waits until it is the caller's turn, or still is. False once end() was called.
  bool take() {
    const auto me = std::this_thread::get_id();
    if (holder_ == me) return !ended_;
    std::unique_lock lock(mutex_);
    free_.wait(lock, [&] { return ended_ || holder_ == std::thread::id(); });
    if (ended_) return false;
    holder_ = me;
    return true;
  }

  /// Lets another thread take requests. Nothing if it is not the caller's turn.
  void pass() {
    if (holder_ != std::this_thread::get_id()) return;
    {
      const std::lock_guard lock(mutex_);
      holder_ = std::thread::id();
    }
    free_.notify_one();
  }

  /// Nobody takes requests any more. Idempotent.
  void end() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    free_.notify_all();
  }

  /// None (the default id) while a thread is on its way to take it.
  std::thread::id holder() const { return holder_; }

 private:
  std::mutex mutex_;
  std::condition_variable free_;
  std::atomic<std::thread::id> holder_{};  ///< changes under the mutex
  std::atomic<bool> ended_{false};         ///< likewise
};

}  // namespace swarmfs::mount
