// Counters of the filesystem's reads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "mount/latency.h"
#include "swarm/base/clock.h"
#include "swarm/base/content_source.h"

namespace swarmfs::mount {

struct FuseStats {
  std::uint64_t reads = 0;        ///< answered, however
  std::uint64_t bytes = 0;        ///< delivered
  std::uint64_t errors = 0;       ///< answered with an errno
  std::uint64_t interrupted = 0;  ///< ended by a signal
  std::uint64_t expired = 0;      ///< given back to the kernel with nothing, to be asked again
  std::uint64_t straddled = 0;    ///< given back with their start, since the rest took longer
  std::uint64_t waiting = 0;      ///< parked now
  std::uint64_t passed = 0;       ///< files opened for the kernel to read from disk itself
  std::array<Latencies, kReadSources> latency;  ///< of reads with bytes, by ReadSource
  Latencies first_byte;  ///< from the first read of an open file until one of its reads had bytes
};

/// Thread-safe.
class FuseCounters {
 public:
  void delivered(std::uint64_t bytes, ReadSource source, Duration after) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    latency_[static_cast<std::size_t>(source)].record(after);
  }
  void first_byte(Duration after) { first_byte_.record(after); }
  void failed() { errors_.fetch_add(1, std::memory_order_relaxed); }
  void interrupted() { interrupted_.fetch_add(1, std::memory_order_relaxed); }
  void expired() { expired_.fetch_add(1, std::memory_order_relaxed); }
  void straddled(Duration after) {
    straddled_.fetch_add(1, std::memory_order_relaxed);
    latency_[static_cast<std::size_t>(ReadSource::peer)].record(after);
  }

  FuseStats snapshot() const {
    FuseStats s;
    s.bytes = bytes_.load(std::memory_order_relaxed);
    s.errors = errors_.load(std::memory_order_relaxed);
    s.interrupted = interrupted_.load(std::memory_order_relaxed);
    s.expired = expired_.load(std::memory_order_relaxed);
    s.straddled = straddled_.load(std::memory_order_relaxed);
    s.first_byte = first_byte_.snapshot();
    s.reads = s.errors;
    for (std::size_t i = 0; i < latency_.size(); ++i) {
      s.latency[i] = latency_[i].snapshot();
      s.reads += s.latency[i].count();
    }
    return s;
  }

 private:
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> interrupted_{0};
  std::atomic<std::uint64_t> expired_{0};
  std::atomic<std::uint64_t> straddled_{0};
  std::array<LatencyHistogram, kReadSources> latency_;
  LatencyHistogram first_byte_;
};

}  // namespace swarmfs::mount
