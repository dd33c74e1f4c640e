// How long whoever reads the FUSE device looks again before he sleeps.
//
// To wake a thread on another processor takes 10 to 70 us, several times what most answers do. A
// program that walks a folder or opens file after file asks again a few microseconds after each
// answer: who still looks then answers at once. Whoever asks seldom costs nothing but his wake.
#pragma once

#include <algorithm>
#include <chrono>

#include "swarm/base/clock.h"

namespace swarmfs::mount {

/// Of one thread. Decides; time comes as an argument.
class DevicePatience {
 public:
  /// It is looked again for so long after an answer,
  static constexpr Duration kLook = std::chrono::microseconds(30);
  /// once so many requests in a row came
  static constexpr int kTrust = 8;
  /// within this of an answer: it holds the wake, which there is no more when it is looked.
  static constexpr Duration kQuick = std::chrono::microseconds(100);

  /// A request has been taken from the device.
  void taken(TimePoint now) {
    trust_ = now - answered_ < kQuick ? std::min(trust_ + 1, 2 * kTrust) : 0;
  }
  /// It has been answered.
  void answered(TimePoint now) { answered_ = now; }
  /// There is no request. False: sleep until one comes.
  bool look_again(TimePoint now) {
    if (trust_ < kTrust) return false;
    if (now - answered_ < kLook) return true;
    trust_ -= kMissed;
    return false;
  }

 private:
  /// A look in vain costs as much as several that were not in vain have won.
  static constexpr int kMissed = 4;

  int trust_ = 0;
  TimePoint answered_{};
};

}  // namespace swarmfs::mount
