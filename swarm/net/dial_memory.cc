#include "swarm/net/dial_memory.h"

namespace swarmfs::net {

std::vector<DialWay> DialMemory::ways_to(const Endpoint& endpoint, Encryption encryption,
                                         std::span<const Duration> transports) {
  std::vector<bool> stages{encryption == Encryption::require};
  const auto known = habits_.find(endpoint);
  const bool careful = known != habits_.end() && known->second == Habit::careful;
  if (encryption == Encryption::prefer) {
    if (known == habits_.end() || careful) {
      stages = {false, true};
    } else if (known->second == Habit::encrypted) {
      stages = {true, false};
    } else {
      habits_.erase(known);
    }
  }
  std::vector<DialWay> ways;
  for (unsigned stage = 0; stage < stages.size(); ++stage)
    for (unsigned t = 0; t < transports.size(); ++t)
      ways.push_back({t, stages[stage], stage, transports[t], careful});
  return ways;
}

void DialMemory::on_won(const Endpoint& endpoint, const DialWay& way) {
  if (way.encrypted) {
    remember(endpoint, Habit::encrypted);
  } else if (way.careful) {
    remember(endpoint, Habit::careful);
  } else {
    habits_.erase(endpoint);
  }
}

void DialMemory::on_refused(const Endpoint& endpoint) { remember(endpoint, Habit::plain_once); }

void DialMemory::remember(const Endpoint& endpoint, Habit habit) {
  if (const auto [at, added] = habits_.insert_or_assign(endpoint, habit); !added) return;
  oldest_first_.push_back(endpoint);
  if (oldest_first_.size() <= kMaxRemembered) return;
  habits_.erase(oldest_first_.front());
  oldest_first_.pop_front();
}

}  // namespace swarmfs::net
