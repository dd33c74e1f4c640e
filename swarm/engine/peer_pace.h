// How fast one peer answers, and so how many requests to keep with it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "swarm/base/block.h"
#include "swarm/base/clock.h"
#include "swarm/base/path_rtt.h"

namespace swarmfs::engine {

/// A rate in bytes per second that forgets with a time constant of about two seconds; for
/// display and for choking.
class RateMeter {
 public:
  void add(std::uint64_t bytes, TimePoint now) {
    decay(now);
    weight_ += static_cast<double>(bytes);
  }
  double bps(TimePoint now) const;

 private:
  void decay(TimePoint now);
  double weight_ = 0;
  TimePoint last_{};
};

/// Whether a block in `one` is here in half the time of one in `than`.
constexpr bool much_sooner(Duration one, Duration than) {
  return one * 2 + std::chrono::milliseconds(10) < than;
}

/// Estimates a peer's service rate and round trip from its block arrivals, and from those the
/// depth of its request queue: rate x (min RTT + a little), so that the pipe is full and an urgent
/// request still does not wait behind seconds of queue.
///
/// With a full queue a block takes as long as the queue is, so that latency says nothing of the
/// path: a depth derived from it would grow for ever. A round trip that became longer is therefore
/// believed of blocks asked with at most kMinDepth in the queue, which is what the queue shrinks to
/// when the round trip is taken for much shorter than it is.
///
/// A lost segment holds back all that comes after it for a round trip or more, and then much comes
/// at once. Where that happens again and again, the queue is long enough for the peer to go on
/// sending meanwhile; a single pause (BBR makes one each ten seconds) does not count. Nor do losses
/// of a queue in the network that has overflowed: where the path's round trip says that one is
/// long, the line is full already, and more would overflow it again.
///
/// Some peers look at their requests in turns and answer all there are at once (Transmission does
/// so over uTP, twice a second): the line is idle most of the time, and a queue for a round trip
/// keeps it so. They get one for two turns, and what follows a silence tells of the path as what
/// was asked with a short queue does.
class PeerPace {
 public:
  static constexpr unsigned kMinDepth = 4;

  /// The TCP handshake's round trip, when known: a first guess before any block came.
  void set_connect_rtt(Duration rtt) { min_rtt_ = rtt; }
  /// True when the round trip was last seen long ago.
  bool rtt_is_old(TimePoint now) const { return now - min_rtt_at_ > kRttLasts; }
  /// True when the path had better be asked of the host, which costs a system call: the round trip
  /// is old, or there are pauses, and it has not been asked for a while.
  bool wants_path_rtt(TimePoint now) const {
    return (rtt_is_old(now) && now - path_asked_at_ > kRttLasts) ||
           (pauses() && now - path_asked_at_ > min_rtt_);
  }
  /// The path's round trip as the kernel has it, if it has. A peer needs at least the shortest.
  void path_rtt_is(std::optional<PathRtt> rtt, TimePoint now);

  /// A block asked at `sent` arrived while `outstanding` requests, it among them, were with the
  /// peer; only a queue that was kept full can show that more depth would bring more.
  void on_block(std::uint32_t bytes, TimePoint sent, TimePoint now, std::size_t outstanding);

  /// Requests to keep outstanding, at most `reqq`.
  unsigned depth(unsigned reqq) const {
    return std::clamp(depth_, kMinDepth, std::max(reqq, kMinDepth));
  }

  /// Expected time until a block asked now arrives, behind `queued` bytes asked before it.
  Duration estimate(std::uint64_t queued) const;
  double rate_bps() const { return rate_; }
  Duration rtt() const { return min_rtt_ == Duration::max() ? kUnknownRtt : min_rtt_; }

 private:
  enum class Trip { goes_on, ended, had_a_pause };
  /// Looks back once in each round trip.
  Trip note_trip(TimePoint sent, TimePoint now);
  /// Finds the turns of a peer that answers in bursts.
  void note_turn(TimePoint sent, TimePoint now);
  /// Pauses come again and again.
  bool pauses() const { return mean_pause_ > min_rtt_ / 4; }
  /// What waits beyond a round trip, so that no gap comes between two requests.
  Duration slack() const;
  /// What waits in the network's queues is as much as we would have wait there.
  bool line_is_full() const { return queueing_ > slack(); }
  /// Once in each round trip: how much longer the queue must last for the pauses.
  void change_cover();

  static constexpr int kTripsAveraged = 8;
  static constexpr Duration kRttLasts = std::chrono::seconds(10);
  static constexpr Duration kUnknownRtt = std::chrono::milliseconds(200);
  static constexpr double kUnknownRate =
      128.0 * 1024;  // pessimistic for peers not yet seen at work

  /// From a request to its block, with nothing of ours before it: the path, and what the peer adds
  /// (some look at their requests twice a second).
  Duration min_rtt_ = Duration::max();
  TimePoint min_rtt_at_{};
  Duration lightest_ = Duration::max();  ///< since min_rtt_at_, of blocks with a short queue
  TimePoint path_asked_at_{};
  TimePoint last_arrival_{};
  TimePoint trip_began_{};
  Duration longest_pause_{};  ///< beyond what a block takes, since trip_began_
  Duration mean_pause_{};     ///< of the longest one in each of the last round trips
  Duration queueing_{};       ///< the longest in the network of late
  Duration cover_{};          ///< how much longer than a round trip and the slack the queue lasts
  TimePoint turn_began_{};    ///< with the first block after a silence
  unsigned turn_blocks_ = 0;  ///< that have followed it
  Duration turn_{};           ///< mean of the last few; 0: it answers as it is asked
  double busy_bytes_ = 0;
  double busy_seconds_ = 0;
  double rate_ = 0;
  unsigned depth_ = kMinDepth;
  bool slow_start_ = true;              ///< until the line is full
  Duration soonest_ = Duration::max();  ///< latency in this round trip, during slow start
  unsigned came_ = 0;                   ///< blocks in this round trip,
  unsigned came_before_ = 0;            ///< and in the one before
  unsigned full_trips_ = 0;             ///< in a row, in which all queued and no more came
};

}  // namespace swarmfs::engine
