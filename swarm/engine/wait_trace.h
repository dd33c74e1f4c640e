// What a parked read has waited for, and how long for each: kept while it waits, for people.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"

namespace swarmfs::engine {

/// Why a read has no answer yet. Of several pieces the last in this order speaks for the read.
enum class WaitCause : std::uint8_t {
  handing_over,  ///< everything is here, the answer is on its way
  verifying,     ///< all blocks are here, the hash is being computed
  leaf_hashes,   ///< the bytes are here, the hashes to check them are not (BEP 52)
  busy,          ///< who has it works through what was asked before
  asked,         ///< asked of a peer
  overdue,       ///< asked of a peer that should have answered by now
  probation,     ///< it failed its hash, so it must come from one peer alone, which has other work
  limited,       ///< the down limit holds it back
  choked,        ///< everybody who has it chokes us
  nobody_has,    ///< no connected peer has it
  no_peers,      ///< nobody is connected
  layers,        ///< the hashes of its pieces are missing (BEP 52), so it could not be verified
  paused,        ///< the user has paused the torrent
};
inline constexpr std::size_t kWaitCauses = static_cast<std::size_t>(WaitCause::paused) + 1;

/// Filled at the events that change the cause, so that it costs nothing per block otherwise.
class WaitTrace {
 public:
  struct First {
    Endpoint from;
    Duration after{};  ///< since the read was parked
  };
  struct Longest {
    WaitCause cause = WaitCause::handing_over;
    Duration took{};
  };

  WaitTrace() = default;
  explicit WaitTrace(TimePoint parked) : parked_(parked), since_(parked) {}

  /// From `now` on it waits for this. Late counts as asked: that a peer is late is known only when
  /// somebody looks.
  void turn(WaitCause cause, TimePoint now) {
    if (cause == WaitCause::overdue) cause = WaitCause::asked;
    spent_[static_cast<std::size_t>(cause_)] += now - since_;
    since_ = now;
    cause_ = cause;
  }
  void asked(const Endpoint& peer, TimePoint now) {
    if (!asked_of_) asked_of_ = peer;
    turn(WaitCause::asked, now);
  }
  /// A block came; `complete`: it was the last one of its piece.
  void arrived(const Endpoint& from, bool complete, TimePoint now) {
    if (!first_) first_ = First{from, now - parked_};
    turn(complete ? WaitCause::verifying : WaitCause::asked, now);
  }

  TimePoint parked() const { return parked_; }
  const std::optional<First>& first() const { return first_; }
  /// The first peer that was asked for a block of its pieces while it waited.
  const std::optional<Endpoint>& asked_of() const { return asked_of_; }
  /// What took the most time of all until `end`.
  Longest longest(TimePoint end) const {
    WaitTrace closed = *this;
    closed.turn(cause_, end);
    const auto most = std::max_element(closed.spent_.begin(), closed.spent_.end());
    return {static_cast<WaitCause>(most - closed.spent_.begin()), *most};
  }

 private:
  TimePoint parked_{};
  TimePoint since_{};
  WaitCause cause_ = WaitCause::handing_over;
  std::array<Duration, kWaitCauses> spent_{};
  std::optional<First> first_;
  std::optional<Endpoint> asked_of_;
};

}  // namespace swarmfs::engine
