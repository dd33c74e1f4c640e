// How long an answer may take before others are asked as well.
#pragma once

#include <algorithm>
#include <cmath>

#include "swarm/base/clock.h"

namespace swarmfs::dht {

/// Learnt from the answers that came: their mean, and four times how far they are from it.
class Patience {
 public:
  static constexpr Duration kAtFirst = std::chrono::seconds(1);  ///< and at most
  static constexpr Duration kAtLeast = std::chrono::milliseconds(200);

  void on_answer(Duration rtt) {
    const double took = to_seconds(rtt);
    if (mean_ < 0) {
      mean_ = took;
      spread_ = took / 2;
    } else {
      spread_ += (std::abs(took - mean_) - spread_) / 8;
      mean_ += (took - mean_) / 16;
    }
  }
  Duration value() const {
    if (mean_ < 0) return kAtFirst;
    return std::clamp(from_seconds(mean_ + 4 * spread_), kAtLeast, kAtFirst);
  }

 private:
  double mean_ = -1, spread_ = 0;  ///< seconds
};

}  // namespace swarmfs::dht
