// Counters of the filesystem's reads.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

#include "swarm/base/clock.h"

namespace swarmfs::mount {

struct FuseStats {
  std::uint64_t reads = 0;        ///< answered, however
  std::uint64_t bytes = 0;        ///< delivered
  std::uint64_t errors = 0;       ///< answered with an errno
  std::uint64_t interrupted = 0;  ///< ended by a signal
  std::uint64_t expired = 0;      ///< given back to the kernel to be asked again
  std::uint64_t waiting = 0;      ///< parked now
  std::uint64_t passed = 0;       ///< files opened for the kernel to read from disk itself
  /// latency[i]: reads answered within 2^i microseconds but not 2^(i-1).
  std::array<std::uint64_t, 32> latency{};
};

/// Thread-safe.
class FuseCounters {
 public:
  void delivered(std::uint64_t bytes) { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  void failed() { errors_.fetch_add(1, std::memory_order_relaxed); }
  void interrupted() { interrupted_.fetch_add(1, std::memory_order_relaxed); }
  void expired() { expired_.fetch_add(1, std::memory_order_relaxed); }
  void answered(Duration after) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(after).count();
    const auto bucket = static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(us)));
    latency_[bucket < latency_.size() ? bucket : latency_.size() - 1].fetch_add(
        1, std::memory_order_relaxed);
  }

  FuseStats snapshot() const {
    FuseStats s;
    s.bytes = bytes_.load(std::memory_order_relaxed);
    s.errors = errors_.load(std::memory_order_relaxed);
    s.interrupted = interrupted_.load(std::memory_order_relaxed);
    s.expired = expired_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < latency_.size(); ++i) {
      s.latency[i] = latency_[i].load(std::memory_order_relaxed);
      s.reads += s.latency[i];
    }
    return s;
  }

 private:
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> interrupted_{0};
  std::atomic<std::uint64_t> expired_{0};
  std::array<std::atomic<std::uint64_t>, 32> latency_{};
};

}  // namespace swarmfs::mount
