// One direction of a host's link: a rate and the finite queue in front of it.
//
// Times come in as arguments. What leaves does so at the instant the rate says, not when somebody
// looked, so a late caller makes a packet late but never a link slow.
#pragma once

#include <cstdint>
#include <deque>

#include "tests/netlab/switch/frame.h"
#include "tests/netlab/switch/profile.h"

namespace swarmfs::netlab {

class Link {
 public:
  /// From `now` on. What is being sent goes on at the new rate; what waits stays, even above the
  /// new limit. A rate of 0 loses all that is here. Returns the packets lost.
  std::uint64_t configure(BitsPerSecond rate, QueueLimit limit, TimePoint now);

  /// Takes as many packets of the frame as fit, the first ones; what is being sent does not count
  /// as waiting. A queue holds two full packets at least. Returns the packets dropped.
  std::uint64_t push(Frame frame, TimePoint now);

  /// When the frame being sent has left, or kNever.
  TimePoint next() const { return queue_.empty() ? kNever : head_leaves_; }

  /// The frame that leaves at next(). Pre: next() is not kNever.
  Frame pop();

  /// Bytes that wait behind the frame being sent.
  std::uint64_t waiting_bytes() const { return waiting_; }

  /// How many packets of this size may leave at one instant: what this rate sends in the time for
  /// which a network card holds back its interrupts; one on slow links.
  std::size_t burst(std::size_t packet_bytes) const;

 private:
  struct Queued {
    Frame frame;
    std::size_t wire_bytes;
  };

  Duration time_for(std::uint64_t bytes) const;
  std::uint64_t room() const;

  BitsPerSecond rate_ = kUnlimited;
  QueueLimit limit_ = Profile{}.queue;
  std::deque<Queued> queue_;  ///< the front is being sent
  std::uint64_t waiting_ = 0;
  TimePoint head_leaves_ = kNever;
};

}  // namespace swarmfs::netlab
