// How long something took, counted in powers of two of a microsecond.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

#include "swarm/base/clock.h"

namespace swarmfs::mount {

/// A snapshot. buckets[i]: what took less than 2^i microseconds but not less than 2^(i-1); the last
/// one has all that took longer.
struct Latencies {
  std::array<std::uint64_t, 32> buckets{};

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t n : buckets) sum += n;
    return sum;
  }
  /// Microseconds under which this share of all stayed, 0 < share <= 1: the upper end of its
  /// bucket, so up to twice the true value. 0 if nothing was counted.
  std::uint64_t within_us(double share) const {
    const auto wanted = share * static_cast<double>(count());
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      sum += buckets[i];
      if (sum > 0 && static_cast<double>(sum) >= wanted) return std::uint64_t{1} << i;
    }
    return 0;
  }
};

/// Thread-safe, without locks.
class LatencyHistogram {
 public:
  void record(Duration took) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    const auto bucket = static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(us)));
    buckets_[bucket < buckets_.size() ? bucket : buckets_.size() - 1].fetch_add(
        1, std::memory_order_relaxed);
  }
  Latencies snapshot() const {
    Latencies s;
    for (std::size_t i = 0; i < buckets_.size(); ++i)
      s.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    return s;
  }

 private:
  std::array<std::atomic<std::uint64_t>, 32> buckets_{};
};

}  // namespace swarmfs::mount
