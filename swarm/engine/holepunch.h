// Whom a torrent asks to be introduced to (BEP 55), and how much of that others may have of it.
#pragma once

#include <algorithm>
#include <map>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"

namespace swarmfs::engine {

/// What one peer may ask for, or have us dial: a few at once, then one every few seconds. Nobody
/// can be made to knock at many doors that way.
class PunchAllowance {
 public:
  static constexpr double kBurst = 10;
  static constexpr Duration kEvery = std::chrono::seconds(3);

  /// Takes one, or says that there is none.
  bool take(TimePoint now) {
    const double more = at_ == TimePoint{} ? kBurst : to_seconds(now - at_) / to_seconds(kEvery);
    left_ = std::min(kBurst, left_ + more);
    at_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double left_ = 0;
  TimePoint at_{};
};

/// Addresses that a dial did not reach, and for which peers were asked to introduce us.
class Holepunch {
 public:
  static constexpr unsigned kMaxRelays = 3;  ///< asked for one address
  /// For one address, whatever came of it.
  static constexpr Duration kAgainAfter = std::chrono::minutes(10);
  /// So long an answer is one to what was asked.
  static constexpr Duration kAnswerWithin = std::chrono::seconds(20);
  static constexpr std::size_t kMaxAsked = 100;

  /// Whether to ask for it now; if so, that is noted.
  bool begin(const Endpoint& endpoint, TimePoint now) {
    std::erase_if(asked_, [&](const auto& one) { return now - one.second >= kAgainAfter; });
    if (asked_.size() >= kMaxAsked) return false;
    return asked_.emplace(endpoint, now).second;
  }
  /// Whether that has been asked for, not long ago.
  bool asked(const Endpoint& endpoint, TimePoint now) const {
    const auto it = asked_.find(endpoint);
    return it != asked_.end() && now - it->second < kAnswerWithin;
  }

 private:
  std::map<Endpoint, TimePoint> asked_;  ///< and when
};

}  // namespace swarmfs::engine
