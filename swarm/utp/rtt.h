// Round trips of a connection: what is usual, what is the shortest, and how long to wait.
#pragma once

#include <algorithm>
#include <optional>

#include "swarm/base/clock.h"

namespace swarmfs::utp {

class Rtt {
 public:
  static constexpr Duration kMinTimeout = std::chrono::milliseconds(500);
  static constexpr Duration kFirstTimeout = std::chrono::seconds(1);

  /// A round trip of a packet that was sent once.
  void add(Duration sample, TimePoint now) {
    if (!smoothed_) {
      smoothed_ = sample;
      deviation_ = sample / 2;
    } else {
      // RFC 6298.
      const Duration off = sample > *smoothed_ ? sample - *smoothed_ : *smoothed_ - sample;
      deviation_ += (off - deviation_) / 4;
      *smoothed_ += (sample - *smoothed_) / 8;
    }
    // The shortest of the last five to ten minutes.
    if (!min_ || now - min_began_ > std::chrono::minutes(5)) {
      older_min_ = min_;
      min_ = sample;
      min_began_ = now;
    }
    min_ = std::min(*min_, sample);
  }

  std::optional<Duration> smoothed() const { return smoothed_; }
  std::optional<Duration> shortest() const {
    return older_min_ ? std::min(*older_min_, *min_) : min_;
  }
  Duration deviation() const { return deviation_; }
  /// Without back-off.
  Duration timeout() const {
    return smoothed_ ? std::max(*smoothed_ + 4 * deviation_, kMinTimeout) : kFirstTimeout;
  }

 private:
  std::optional<Duration> smoothed_, min_, older_min_;
  Duration deviation_{};
  TimePoint min_began_{};
};

}  // namespace swarmfs::utp
