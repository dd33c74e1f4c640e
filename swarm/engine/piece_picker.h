// Which pieces are where, and which one is rarest.
//
// A piece is in exactly one of: absent, in_flight, verifying, have. Every transition goes through
// set_state(), which asserts that the edge is legal.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "swarm/base/bitfield.h"
#include "swarm/base/clock.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::engine {

enum class PieceState : std::uint8_t { absent, in_flight, verifying, have };

/// Absent pieces stand in one array ordered by availability, cut into buckets; a HAVE or a change
/// of state moves one piece over bucket borders in O(buckets crossed). Peers that have everything
/// are only counted, so a seed costs no per-piece work.
class PiecePicker {
 public:
  /// `have`: pieces that are here from the start.
  explicit PiecePicker(const Bitfield& have);

  PieceState state(PieceIndex piece) const { return pieces_[piece.value].state; }
  void set_state(PieceIndex piece, PieceState next);
  const Bitfield& have() const { return have_; }
  std::uint32_t absent_count() const { return static_cast<std::uint32_t>(order_.size()); }

  void peer_has(PieceIndex piece) { raise(piece); }
  void peer_lost(PieceIndex piece) { lower(piece); }
  /// A peer's whole bitfield arrives or goes. Seeds are counted with add_seed/remove_seed instead.
  void add_peer(const Bitfield& pieces);
  void remove_peer(const Bitfield& pieces);
  void add_seed() { ++seeds_; }
  void remove_seed() { --seeds_; }

  /// Copies among connected peers, seeds included.
  std::uint32_t availability(PieceIndex piece) const {
    return pieces_[piece.value].availability + seeds_;
  }

  /// The rarest absent piece that `eligible` accepts; ties are broken at random. Looks at each
  /// absent piece at most once.
  std::optional<PieceIndex> pick_rarest(const std::function<bool(PieceIndex)>& eligible,
                                        Rng& rng) const;

 private:
  struct Entry {
    std::uint32_t position = 0;  ///< in order_, while absent
    std::uint16_t availability = 0;
    PieceState state = PieceState::absent;
  };
  void insert(PieceIndex piece);
  void remove(PieceIndex piece);
  void raise(PieceIndex piece);
  void lower(PieceIndex piece);
  void swap_positions(std::uint32_t a, std::uint32_t b);
  std::uint32_t bucket_end(std::uint32_t availability) const { return ends_[availability]; }

  std::vector<Entry> pieces_;
  Bitfield have_;
  std::uint32_t seeds_ = 0;
  std::vector<PieceIndex> order_;    ///< absent pieces, rarest first
  std::vector<std::uint32_t> ends_;  ///< per availability: one past its bucket in order_
};

}  // namespace swarmfs::engine
