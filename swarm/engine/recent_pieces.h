// The pieces that were named last, a fixed number of them.
#pragma once

#include <cstddef>
#include <deque>
#include <set>

#include "swarm/base/strong_index.h"

namespace swarmfs::engine {

/// Whoever names more than kMost pieces is remembered by the latest of them.
class RecentPieces {
 public:
  static constexpr std::size_t kMost = 64;

  /// False if the piece is known already; its age does not change then.
  bool note(PieceIndex piece) {
    if (!pieces_.insert(piece).second) return false;
    order_.push_back(piece);
    if (order_.size() > kMost) {
      pieces_.erase(order_.front());
      order_.pop_front();
    }
    return true;
  }
  void forget(PieceIndex piece) {
    if (pieces_.erase(piece) != 0) std::erase(order_, piece);
  }
  bool contains(PieceIndex piece) const { return pieces_.contains(piece); }
  std::size_t size() const { return pieces_.size(); }

 private:
  std::set<PieceIndex> pieces_;
  std::deque<PieceIndex> order_;  ///< the same, the oldest first
};

}  // namespace swarmfs::engine
