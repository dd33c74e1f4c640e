// A piece being fetched: what each of its blocks is waiting for, and the bytes that came.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "swarm/base/block.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"
#include "swarm/base/layout.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::engine {

/// One block's state. `free`: nobody was asked. `requested`: with the peers in `asked`.
/// `received`: bytes are here, unchecked. `verified`: its leaf hash matched (BEP 52).
struct BlockSlot {
  enum class State : std::uint8_t { free, requested, received, verified };
  State state = State::free;
  std::vector<PeerId> asked;  ///< copies in flight, oldest first
  PeerId from{};              ///< who sent the bytes; nobody if they came in halves
  IpAddress address;          ///< of `from`, which may leave before they are checked
  BlockPtr data;

  bool here() const { return state == State::received || state == State::verified; }
};

/// A block that was asked in halves of two peers (see Torrent::ask_needed). `spoiled`: the halves
/// came and did not match the leaf hash; who lied shows when the right bytes are here.
struct HalvedBlock {
  struct Half {
    PeerId peer{};
    IpAddress address;
    bool here = false;
    Sha1Hash digest{};  ///< of a spoiled half
  };
  std::array<Half, 2> halves;
  std::shared_ptr<Block> data;  ///< being put together
  bool spoiled = false;
};
inline constexpr std::uint32_t kHalfBlock = kBlockSize / 2;

struct PartialPiece {
  PartialPiece(const Layout& layout, PieceIndex index)
      : piece(index), slots(layout.block_count(index)), free(layout.block_count(index)) {}

  PieceIndex piece;
  std::vector<BlockSlot> slots;
  std::uint32_t free = 0;  ///< slots in state free
  std::uint32_t here = 0;  ///< slots received or verified
  std::map<std::uint32_t, HalvedBlock> halved;
  /// Set while one peer alone fetches it (backfill prefers that: a bad piece then names its
  /// sender); another value than the peer's own id keeps others out of `sole` pieces.
  PeerId sole{};
  /// The piece failed its hash before: it must come from `sole` alone, so that it convicts.
  bool on_probation = false;

  /// Whether a block of [first, end) was asked of nobody.
  bool any_free(std::uint32_t first, std::uint32_t end) const {
    for (std::uint32_t b = first; b < std::min<std::size_t>(end, slots.size()); ++b)
      if (slots[b].state == BlockSlot::State::free) return true;
    return false;
  }
  bool complete() const { return here == slots.size(); }
  bool asked_of(std::uint32_t block, PeerId peer) const {
    const auto& asked = slots[block].asked;
    return std::find(asked.begin(), asked.end(), peer) != asked.end();
  }
  void ask(std::uint32_t block, PeerId peer) {
    BlockSlot& slot = slots[block];
    if (slot.state == BlockSlot::State::free) {
      slot.state = BlockSlot::State::requested;
      --free;
    }
    slot.asked.push_back(peer);
  }
  /// The peer will not bring it (choke, reject, gone). True if the block is free again.
  bool unask(std::uint32_t block, PeerId peer) {
    BlockSlot& slot = slots[block];
    std::erase(slot.asked, peer);
    if (slot.state != BlockSlot::State::requested || !slot.asked.empty()) return false;
    slot.state = BlockSlot::State::free;
    ++free;
    return true;
  }
  void receive(std::uint32_t block, PeerId peer, const IpAddress& address, BlockPtr data) {
    BlockSlot& slot = slots[block];
    if (slot.state == BlockSlot::State::free) --free;
    slot.state = BlockSlot::State::received;
    slot.from = peer;
    slot.address = address;
    slot.data = std::move(data);
    ++here;
  }
  /// Forgets received bytes: they are wrong, or their sender is a liar.
  void discard(std::uint32_t block) {
    BlockSlot& slot = slots[block];
    slot.data.reset();
    --here;
    if (slot.asked.empty()) {
      slot.state = BlockSlot::State::free;
      ++free;
    } else {
      slot.state = BlockSlot::State::requested;
    }
  }
};

}  // namespace swarmfs::engine
