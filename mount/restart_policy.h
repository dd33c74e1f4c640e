// When a worker that died is started again, and when that is given up. Pure: no clock, no process.
#pragma once

#include <deque>
#include <optional>

#include "swarm/base/clock.h"

namespace swarmfs::mount {

/// What is known of a worker that is dead.
struct WorkerDeath {
  bool was_ready = false;  ///< it had mounted and served
  bool was_used = false;   ///< a program had opened a file
  bool by_itself = false;  ///< it crashed, failed or hung; false: somebody killed it (SIGKILL)
  Duration lasted{};       ///< from its start to its death
};

/// Whoever kills a worker that serves gets another one within a second, however often. A worker
/// that dies before it was of use is a loop: its pauses double, and in the end there is none.
class RestartPolicy {
 public:
  static constexpr Duration kWindow = std::chrono::minutes(1);
  /// So many deaths in vain within the window are enough.
  static constexpr unsigned kTooMany = 7;
  static constexpr Duration kLongestPause = std::chrono::seconds(1);
  /// A worker that lived this long has not died in vain.
  static constexpr Duration kLongLife = std::chrono::seconds(30);

  /// How long to wait before the next start; nothing to give up. `now` never goes back.
  std::optional<Duration> on_death(const WorkerDeath& death, TimePoint now);

 private:
  std::deque<TimePoint> deaths_;   ///< within the window
  std::deque<TimePoint> in_vain_;  ///< those of them that came before any use
};

/// Whether a worker still answers, counted in questions and not in time: while the machine or the
/// supervisor itself sleeps, nothing is asked, so nothing is held against the worker.
class Liveness {
 public:
  /// `unanswered` questions in a row are allowed; 0: any number.
  explicit Liveness(unsigned unanswered) : allowed_(unanswered) {}

  /// A new worker begins with nothing against it.
  void reset() { unanswered_ = 0; }
  void on_answer() { unanswered_ = 0; }
  /// Before each question: true if the worker counts as stuck.
  bool on_ask() { return unanswered_++ >= allowed_ && allowed_ != 0; }
  /// True if the last question was answered.
  bool answers() const { return unanswered_ == 0; }

 private:
  unsigned allowed_;
  unsigned unanswered_ = 0;
};

}  // namespace swarmfs::mount
