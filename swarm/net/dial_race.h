// Which of the ways to reach a peer are tried when, and which of them stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "swarm/base/clock.h"

namespace swarmfs::net {

/// One way to reach a peer: a transport, and what is spoken over it.
struct DialWay {
  unsigned transport = 0;
  bool encrypted = false;
  /// Ways of a stage compete until one of them connects; the next stage is for a peer that was
  /// reached and does not answer. Never falls along a list of ways.
  unsigned stage = 0;
  Duration after{};  ///< since its stage began
  /// Nothing is said after the handshake until the peer's is here.
  bool careful = false;
};

/// Decides and does nothing: take_starts() and take_drops() say what is to be done, and the on_
/// functions are told what became of it. Ends with a winner() or as lost().
///
/// A way starts when its time has come, or at once when nothing of its stage is under way any more.
/// The first of a stage that connects ends the others of that stage. A stage that has connected and
/// gets no answer for kPatience goes on while the next one begins; one that is hung up on makes
/// room for it at once. A transport that did not connect is not tried again in a later stage. The
/// first way that is answered wins.
class DialRace {
 public:
  /// How long a peer may take to answer before it is asked in another way as well: slow is more
  /// often than deaf, and a second connection costs a peer a place.
  static constexpr Duration kPatience = std::chrono::seconds(4);

  explicit DialRace(std::vector<DialWay> ways);

  void begin(TimePoint now);
  void on_connected(std::size_t way, TimePoint now);
  /// The peer said something. Ends the race.
  void on_answered(std::size_t way);
  /// It did not connect, or ended before it was answered.
  void on_failed(std::size_t way, TimePoint now);
  void on_timer(TimePoint now);
  TimePoint deadline() const { return deadline_; }

  /// Ways to open now, and to close now.
  std::vector<std::size_t> take_starts();
  std::vector<std::size_t> take_drops();

  const DialWay& way(std::size_t index) const { return ways_[index]; }
  std::optional<std::size_t> winner() const { return winner_; }
  bool lost() const { return lost_; }
  bool running(std::size_t way) const;
  /// It runs, and nothing else does or will.
  bool alone(std::size_t way) const;

 private:
  enum class State : std::uint8_t { waiting, connecting, connected, over };
  bool any(unsigned stage, State state) const;
  bool under_way(unsigned stage) const;
  void go_on(TimePoint now);
  void drop(std::size_t way);

  std::vector<DialWay> ways_;
  std::vector<State> states_;
  std::vector<bool> unreachable_;  ///< by transport
  unsigned stage_ = 0;             ///< the last that has begun
  TimePoint stage_began_{};
  std::optional<TimePoint> connected_at_;  ///< of that stage
  std::vector<std::size_t> starts_, drops_;
  std::optional<std::size_t> winner_;
  bool lost_ = false;
  TimePoint deadline_ = TimePoint::max();
};

}  // namespace swarmfs::net
