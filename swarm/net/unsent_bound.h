// How much a connection should hand to the kernel before it can leave.
#pragma once

#include <cstddef>

#include "swarm/base/clock.h"

namespace swarmfs::net {

/// What the kernel has taken cannot be overtaken by a request, nor cancelled; too little of it, and
/// the line runs dry between two looks. So it is what leaves in kAhead, as measured while there was
/// always more to send than the kernel would take. Not thread-safe.
class UnsentBound {
 public:
  static constexpr std::size_t kLeast = 4 << 10, kMost = 128 << 10;  ///< bytes; powers of two
  static constexpr Duration kAhead = std::chrono::milliseconds(50);
  static constexpr Duration kMeasured = std::chrono::milliseconds(100);  ///< at least

  std::size_t bytes() const { return bytes_; }
  /// The kernel has taken `taken` bytes, and `all` that there were. True if bytes() is another.
  bool on_write(std::size_t taken, bool all, TimePoint now) {
    if (all) {  // how fast it leaves does not show
      measuring_ = false;
      return false;
    }
    if (!measuring_) {
      measuring_ = true;
      since_ = now;
      taken_ = 0;
      return false;
    }
    taken_ += taken;
    if (now - since_ < kMeasured) return false;
    const double leaves =
        static_cast<double>(taken_) / to_seconds(now - since_) * to_seconds(kAhead);
    since_ = now;
    taken_ = 0;
    std::size_t next = kLeast;
    while (next < kMost && static_cast<double>(next) < leaves) next *= 2;
    // A line whose rate lies between two of them is not to be told each time.
    if (next == bytes_ || (next * 2 == bytes_ && leaves > 0.75 * static_cast<double>(next)))
      return false;
    bytes_ = next;
    return true;
  }

 private:
  std::size_t bytes_ = 32 << 10;
  bool measuring_ = false;  ///< since_ is when the kernel would take no more
  TimePoint since_{};
  std::size_t taken_ = 0;
};

}  // namespace swarmfs::net
