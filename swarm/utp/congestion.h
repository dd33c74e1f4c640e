// How much may be under way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "swarm/base/clock.h"

namespace swarmfs::utp {

/// LEDBAT (RFC 6817) in what it holds to: a queue of kTarget at most, and room for whoever fills
/// the queue further. Not in its pace: below the target it grows along CUBIC's curve (RFC 9438),
/// above it shrinks in proportion, and a loss with an empty queue costs less than one with a full
/// queue. CONGESTION.md beside this says why, and what was tried.
class Congestion {
 public:
  /// The time that packets may wait in queues because of us. RFC 6817 and BEP 29 allow 100 ms;
  /// where a queue is no longer than that, only less makes room for a flow that fills it: see
  /// target().
  static constexpr Duration kTarget = std::chrono::milliseconds(40);

  /// `packet` is the payload of a full packet, in bytes.
  explicit Congestion(std::size_t packet);

  /// `bytes` have arrived, one of their packets after it had waited for `queueing`; `limited` says
  /// that the window kept back more.
  void on_ack(std::size_t bytes, Duration queueing, Duration rtt, bool limited, TimePoint now);
  /// Once for all packets that were under way together.
  void on_loss(TimePoint now);
  void on_timeout();
  /// Nothing was under way for a while: what was known of the path is old.
  void on_idle();

  std::size_t window() const;  ///< bytes
  bool in_slow_start() const { return window_ < threshold_; }
  /// The shortest of the last few samples.
  Duration queueing() const;
  /// kTarget, or a part of what the queue holds where it has lost packets when shorter.
  Duration target() const { return target_; }

 private:
  void grow(double bytes, double share, Duration rtt, TimePoint now);
  void shrink(double factor);
  void remember_queue(Duration waited, TimePoint now);
  bool look_again(Duration waited, Duration rtt, TimePoint now);

  double packet_;
  double window_;
  double threshold_;
  double peak_ = 0;                 ///< CUBIC: W_max
  std::optional<TimePoint> epoch_;  ///< CUBIC: when the present rise began
  double rise_seconds_ = 0;         ///< CUBIC: K
  std::array<Duration, 4> samples_{};
  std::size_t next_sample_ = 0;
  std::optional<TimePoint> looking_until_;  ///< the queue is let run empty until then
  TimePoint next_look_{};
  Duration shortest_wait_ = Duration::max();  ///< since the last look
  /// The longest wait at which a packet was lost, which is what the queue holds; 0: not known.
  Duration lossy_queue_{};
  TimePoint lossy_until_{};
  Duration target_ = kTarget;
};

}  // namespace swarmfs::utp
