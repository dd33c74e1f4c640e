#include "mount/attribute_watch.h"

#include <cerrno>
#include <utility>
#include <vector>

namespace swarmfs::mount {

void AttributeWatch::start(Forget forget, Duration period) {
  forget_ = std::move(forget);
  thread_ = std::thread([this, period] { run(period); });
}

void AttributeWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void AttributeWatch::give(const fs::Attributes& attributes) {
  const std::lock_guard lock(mutex_);
  const auto [it, added] = given_.try_emplace(attributes.ino, Given{attributes.blocks});
  if (added) {
    again_ = true;  // it may have changed since it was asked for
    if (given_.size() == 1) wake_.notify_one();
  } else if (it->second.blocks != attributes.blocks) {
    it->second.unsure = again_ = true;
  }
}

void AttributeWatch::look() {
  std::vector<std::pair<fs::Ino, fs::Attributes>> changed;
  {
    const std::lock_guard lock(mutex_);
    // Asked before the attributes are: what changes meanwhile is seen the next time.
    const std::uint64_t changes = tree_.changes();
    if (!std::exchange(again_, false) && changes == seen_changes_) return;
    seen_changes_ = changes;
    std::erase_if(given_, [&](const auto& entry) {
      const auto& [ino, given] = entry;
      const auto attributes = tree_.attributes(ino);
      if (attributes && (given.unsure || attributes->blocks != given.blocks))
        changed.emplace_back(ino, *attributes);
      return !attributes;  // its torrent has gone
    });
  }
  for (const auto& [ino, attributes] : changed) {
    const int error = forget_(ino);
    const std::lock_guard lock(mutex_);
    const auto it = given_.find(ino);
    if (it == given_.end()) continue;
    if (error != 0 && !std::exchange(it->second.missed, true)) {
      again_ = true;  // its answer may be on the way to the kernel
    } else if (error != 0 || attributes.final) {
      given_.erase(it);
    } else {
      it->second = {attributes.blocks};
    }
  }
}

std::size_t AttributeWatch::size() const {
  const std::lock_guard lock(mutex_);
  return given_.size();
}

void AttributeWatch::run(Duration period) {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return ends_ || !given_.empty(); });
    if (wake_.wait_for(lock, period, [&] { return ends_; })) return;
    lock.unlock();
    look();
    lock.lock();
  }
}

}  // namespace swarmfs::mount
