// How long packets take one way, between two clocks that are not set alike.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "swarm/base/clock.h"

namespace swarmfs::utp {

/// The shortest of the delays of the last minutes is that of the empty path; what a delay is longer
/// than that, is the time its packet waited in queues (RFC 6817: base delay). Delays are
/// differences of clocks in microseconds modulo 2^32, so only their differences mean something.
class DelayHistory {
 public:
  /// RFC 6817: BASE_HISTORY, of minutes. A path that has become longer is believed after that.
  static constexpr std::size_t kMinutes = 10;

  /// Counts a sample, and returns how much longer than the base delay it is.
  Duration add(std::uint32_t delay_us, TimePoint now);
  /// The base delay; nothing before the first sample.
  std::optional<std::uint32_t> base() const { return base_; }
  /// The other side's clock was found to be slower than ours by so much since: the base moves
  /// along.
  void shift(std::uint32_t by_us);

 private:
  void find_base();
  std::array<std::uint32_t, kMinutes> minutes_{};  ///< the shortest of each
  std::size_t used_ = 0;                           ///< how many of them count
  std::size_t current_ = 0;
  TimePoint minute_began_{};
  std::optional<std::uint32_t> base_;
};

}  // namespace swarmfs::utp
