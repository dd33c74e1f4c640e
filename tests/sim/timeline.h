// Virtual time: events in the order of their time, those of one instant in the order they were set.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "swarm/base/clock.h"

namespace swarmfs::sim {

class Timeline {
 public:
  TimePoint now() const { return now_; }
  /// A time that has passed means now.
  void at(TimePoint when, std::function<void()> event) {
    events_.emplace(std::pair(std::max(when, now_), next_++), std::move(event));
  }
  void after(Duration delay, std::function<void()> event) { at(now_ + delay, std::move(event)); }

  /// Runs the next event; false, with the time at `until`, if none is due by then.
  bool step(TimePoint until) {
    if (events_.empty() || events_.begin()->first.first > until) {
      now_ = std::max(now_, until);
      return false;
    }
    auto node = events_.extract(events_.begin());
    now_ = node.key().first;
    node.mapped()();
    return true;
  }

 private:
  // Not the clock's epoch, which the engine takes for "never".
  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  std::uint64_t next_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
};

}  // namespace swarmfs::sim
