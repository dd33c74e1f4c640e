#include "swarm/dht/traffic.h"

#include <algorithm>

namespace swarmfs::dht {

double Budget::at(TimePoint now) const {
  // As of the start of time nothing was spent, and the difference may be beyond all bounds.
  if (as_of_ == TimePoint{}) return credit_;
  return std::min(most_, credit_ + rate_ * to_seconds(now - as_of_));
}

bool Budget::spend(double amount, TimePoint now) {
  const double has = at(now);
  if (has < amount) return false;
  credit_ = has - amount;
  as_of_ = now;
  return true;
}

bool Budget::full(TimePoint now) const { return at(now) >= most_; }

Traffic::Traffic(double reply_bytes_per_second)
    : replies_(reply_bytes_per_second, std::max(kReplyBurst, reply_bytes_per_second)) {}

bool Traffic::may_ask(const Endpoint& from, TimePoint now) {
  const Endpoint source = from.address.is_local() ? from : Endpoint{from.address, 0};
  auto it = sources_.find(source);
  if (it == sources_.end()) {
    if (sources_.size() >= kMaxSources) forget(now);
    // Too many at once to be told apart: then all of them wait.
    if (sources_.size() >= kMaxSources) return false;
    it = sources_.emplace(source, Budget(kQueriesPerSecond, kQueryBurst)).first;
  }
  return it->second.spend(1, now);
}

/// Not for every packet of a flood: that would cost more than answering.
void Traffic::forget(TimePoint now) {
  if (now - forgot_at_ < std::chrono::milliseconds(50)) return;
  forgot_at_ = now;
  std::erase_if(sources_, [&](const auto& source) { return source.second.full(now); });
}

}  // namespace swarmfs::dht
