// The filter that holds at the moment, for all that connects.
#pragma once

#include <mutex>
#include <utility>

#include "swarm/engine/address_filter.h"

namespace swarmfs::net {

/// Thread-safe: a filter is read anew on one thread and asked on another.
class FilterGate {
 public:
  void set(engine::AddressFilterPtr filter) {
    const std::lock_guard lock(mutex_);
    filter_ = std::move(filter);
  }
  engine::AddressFilterPtr get() const {
    const std::lock_guard lock(mutex_);
    return filter_;
  }
  bool blocks(const IpAddress& address) const {
    const std::lock_guard lock(mutex_);
    return engine::blocked_by(filter_, address);
  }

 private:
  mutable std::mutex mutex_;
  engine::AddressFilterPtr filter_;
};

}  // namespace swarmfs::net
