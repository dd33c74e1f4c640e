#include "mount/idle_checker.h"

#include <pthread.h>
#include <sched.h>

#include <utility>

namespace swarmfs::mount {

void IdleChecker::add(const void* owner, FileIndex file, Step step) {
  const std::lock_guard lock(mutex_);
  const Key key{owner, file};
  if (ends_ || !known_.insert(key).second) return;
  queue_.emplace_back(key, std::move(step));
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  wake_.notify_one();
}

void IdleChecker::stop() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  queue_.clear();
}

void IdleChecker::run() {
  const sched_param none{};
  ::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &none);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return ends_ || !queue_.empty(); });
    if (ends_) return;
    auto [key, step] = std::move(queue_.front());
    queue_.pop_front();
    for (bool more = true; more && !ends_;) {
      lock.unlock();
      const TimePoint begin = std::chrono::steady_clock::now();
      more = step();
      const Duration took = std::chrono::steady_clock::now() - begin;
      lock.lock();
      if (more && wake_.wait_for(lock, kRest * took, [&] { return ends_; })) return;
    }
    known_.erase(key);
  }
}

}  // namespace swarmfs::mount
