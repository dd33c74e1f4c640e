// A few threads that work through what they are given, in order, and may wait for the disk.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace swarmfs::mount {

/// Thread-safe.
class WorkPool {
 public:
  explicit WorkPool(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~WorkPool() { finish(); }
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  /// Runs `work`, which may be move-only and must not throw, on one of the threads. After finish()
  /// it is destroyed instead.
  template <class Work>
  void post(Work work) {
    std::packaged_task<void()> task(std::move(work));
    const std::lock_guard lock(mutex_);
    if (ends_) return;
    tasks_.push_back(std::move(task));
    wake_.notify_one();
  }

  /// Returns when all that was given has been done and the threads have ended. Not from one of
  /// them.
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    wake_.notify_all();
    threads_.clear();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return ends_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      {
        std::packaged_task<void()> task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        task();
      }
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::packaged_task<void()>> tasks_;
  bool ends_ = false;
  std::vector<std::jthread> threads_;  ///< last: they use the others
};

}  // namespace swarmfs::mount
