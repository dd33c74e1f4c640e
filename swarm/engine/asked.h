// What a peer has been asked for and has not answered yet.
#pragma once

#include "swarm/base/block.h"
#include "swarm/base/clock.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::engine {

struct Outstanding {
  wire::BlockRef block;  ///< or half of one
  TimePoint sent;
  TimePoint due;  ///< when it should be here, as was thought when it was asked for
  bool of(PieceIndex piece, std::uint32_t index) const {
    return block.piece == piece && block.begin / kBlockSize == index;
  }
};

/// A request for hashes (BEP 52).
struct HashFetch {
  wire::HashRef ref;
  PieceIndex piece;
  TimePoint sent;
  bool late = false;  ///< others are asked as well
};

}  // namespace swarmfs::engine
