// When a socket of datagrams is left alone for a moment, so that more are taken by one call.
#pragma once

#include <algorithm>
#include <cstddef>

#include "swarm/base/clock.h"

namespace swarmfs::net {

/// A stream of datagrams wakes its reader for each of them, which costs several calls and an answer
/// of its own. As network cards do (interrupt moderation), a reader that has been woken often rests
/// before it looks again; one that has not, never does, so a request on a quiet link waits for
/// nothing. Pure: told the time.
class ReceivePauses {
 public:
  /// Added to a round trip at most, by each end that receives much.
  static constexpr Duration kLongest = std::chrono::milliseconds(2);
  /// What is shorter than this is not worth a timer.
  static constexpr Duration kShortest = std::chrono::microseconds(100);
  /// Datagrams a second from which on it rests.
  static constexpr double kLeastRate = 2000;
  /// It rests for about as many: the kernel's default buffer holds ten times that.
  static constexpr double kAtOnce = 16;
  /// Over which the rate is taken.
  static constexpr Duration kSpan = std::chrono::milliseconds(4);

  /// How long to rest after `datagrams` were taken and none was left; zero is: wait for the next.
  Duration after(std::size_t datagrams, TimePoint now) {
    count_ += datagrams;
    const Duration span = now - since_;
    if (span >= kSpan) {
      rate_ = static_cast<double>(count_) / to_seconds(span);
      since_ = now;
      count_ = 0;
    }
    if (datagrams == 0 || rate_ < kLeastRate) return Duration{};
    const Duration pause = std::min(kLongest, from_seconds(kAtOnce / rate_));
    return pause < kShortest ? Duration{} : pause;
  }

 private:
  TimePoint since_{};
  std::size_t count_ = 0;
  double rate_ = 0;
};

}  // namespace swarmfs::net
