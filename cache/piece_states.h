// What the store knows of each piece: one atomic word a piece, read without a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "swarm/base/strong_index.h"

namespace swarmfs::cache {

/// A piece moves absent → written → syncing → kept, or unchecked → kept; any state → absent.
enum class PieceState : std::uint8_t {
  absent,
  unchecked,  ///< recorded by an earlier run; to be verified before it is first handed out
  written,    ///< verified in this run and written; no sync of it has begun
  syncing,    ///< its sync is under way: should that fail, the disk may hold older bytes already,
              ///< so it is handed out only after another check
  kept,       ///< verified in this run, and synced or not ours to sync
};

/// Thread-safe. A word also counts how often the piece became absent, so that a decision made on
/// what was seen earlier cannot hit a piece that was dropped and written anew in between.
class PieceStates {
 public:
  class Seen {
   public:
    PieceState state() const { return static_cast<PieceState>(word_ & 7U); }
    bool here() const { return state() != PieceState::absent; }
    bool operator==(const Seen&) const = default;

   private:
    friend class PieceStates;
    explicit Seen(std::uint32_t word) : word_(word) {}
    std::uint32_t generation() const { return word_ >> 3; }
    std::uint32_t word_;
  };

  explicit PieceStates(std::uint32_t count)
      : count_(count), words_(std::make_unique<std::atomic<std::uint32_t>[]>(count)) {}

  std::uint32_t count() const { return count_; }
  Seen see(PieceIndex piece) const {
    return Seen(words_[piece.value].load(std::memory_order_acquire));
  }

  /// Moves the piece on if it still is as seen.
  bool change(PieceIndex piece, Seen from, PieceState to) {
    std::uint32_t expected = from.word_;
    const std::uint32_t generation = from.generation() + (to == PieceState::absent ? 1 : 0);
    const bool done = words_[piece.value].compare_exchange_strong(
        expected, generation << 3 | static_cast<std::uint32_t>(to), std::memory_order_acq_rel);
    if (done && from.here() != (to != PieceState::absent))
      changes_.fetch_add(1, std::memory_order_release);
    return done;
  }

  /// How often a piece came or went.
  std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  /// True if bytes read between `before` and `after` were safe to hand out at the end: the piece
  /// was not dropped, and no sync of it was under way whose failure is not known yet.
  static bool held(Seen before, Seen after) {
    return after == before ||
           (after.generation() == before.generation() && after.state() == PieceState::kept);
  }

 private:
  std::uint32_t count_;
  std::unique_ptr<std::atomic<std::uint32_t>[]> words_;
  std::atomic<std::uint64_t> changes_ = 0;
};

}  // namespace swarmfs::cache
