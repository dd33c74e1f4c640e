// Missing pieces that the user asked for, in the order in which they were asked for.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "swarm/base/bitfield.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::engine {

class WantedPieces {
 public:
  /// Pieces looked at for one peer: it may have none of many.
  static constexpr unsigned kLookedAt = 2048;

  explicit WantedPieces(std::uint32_t pieces) : bits_(pieces) {}

  /// Adds a piece behind the others, unless it is there.
  void add(PieceIndex piece) {
    if (bits_.set(piece)) order_.push_back(piece);
  }
  /// It is here, or not wanted any more.
  void remove(PieceIndex piece) {
    if (!bits_.test(piece)) return;
    bits_.clear(piece);
    // Places of those that are gone stay until they are the most.
    if (order_.size() <= 2 * std::size_t{bits_.count()} + 16) return;
    std::erase_if(order_, [this](PieceIndex p) { return !bits_.test(p); });
  }
  bool empty() const { return bits_.count() == 0; }
  bool contains(PieceIndex piece) const { return bits_.test(piece); }
  /// The first piece that will do, of those that are looked at.
  template <class WillDo>
  std::optional<PieceIndex> first(WillDo will_do) const {
    unsigned looked = 0;
    for (const PieceIndex piece : order_) {
      if (!bits_.test(piece)) continue;
      if (will_do(piece)) return piece;
      if (++looked == kLookedAt) break;
    }
    return std::nullopt;
  }

 private:
  Bitfield bits_;
  std::deque<PieceIndex> order_;  ///< and places of pieces that are gone
};

}  // namespace swarmfs::engine
